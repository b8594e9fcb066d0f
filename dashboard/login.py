"""Logging in, and where each role starts."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse

from dashboard import throttle
from dashboard.access import CUSTOMER, FINANCE, OPERATOR, Visitor, only

START_PAGES = {OPERATOR: "operator-overview", FINANCE: "invoices", CUSTOMER: "portal"}


class LoginForm(AuthenticationForm):
    """Django's, refusing without a look at the password once a name or address has failed too often."""

    throttled = False

    def clean(self) -> dict[str, Any]:
        name, address = str(self.cleaned_data.get("username", "")), self._address()
        if throttle.refused(name, address):
            self.throttled = True
            raise forms.ValidationError("Too many failed log-ins. Try again in ten minutes.", code="throttled")
        try:
            cleaned = super().clean()
        except forms.ValidationError:
            throttle.failed(name, address)
            raise
        throttle.succeeded(name, address)
        return cleaned

    def _address(self) -> str:
        return str(self.request.META.get("REMOTE_ADDR", "")) if self.request else ""


class Login(LoginView):
    template_name = "registration/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        if isinstance(form, LoginForm) and form.throttled:
            response.status_code = 429
            response.headers["Retry-After"] = str(throttle.WINDOW_S)
        return response


@only(OPERATOR, FINANCE, CUSTOMER)
def home(request: HttpRequest, who: Visitor) -> HttpResponseRedirect:
    """To the page that this role starts on."""
    return redirect(reverse(START_PAGES[who.role]))
