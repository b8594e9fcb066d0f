// A rule's form shows what goes with the measure and the kind that are chosen. Without it, all fields show, and the server says what does not fit.
const form = document.querySelector("[data-rule-form]");
const measure = form.querySelector("#rule-measure");
const kind = form.querySelector("#rule-kind");
const group = form.querySelector("#rule-group");

const show = (field, shown) => {
  field.hidden = !shown;
  for (const input of field.querySelectorAll("input, select")) input.disabled = !shown;
};

const fit = () => {
  const { kinds, dimensions, unit } = measure.selectedOptions[0].dataset;
  const allowed = kinds.split(" ");
  const told = dimensions.split(" ").filter(Boolean);
  for (const option of kind.options) option.hidden = option.disabled = !allowed.includes(option.value);
  if (!allowed.includes(kind.value)) kind.value = allowed[0];
  for (const option of group.options) option.hidden = option.disabled = option.value !== "" && !told.includes(option.value);
  if (group.selectedOptions[0]?.disabled) group.value = "";
  for (const field of form.querySelectorAll("[data-for]")) show(field, field.dataset.for.split(" ").includes(kind.value));
  for (const field of form.querySelectorAll("[data-dimension]")) show(field, told.includes(field.dataset.dimension));
  form.querySelector("[data-unit-of]").textContent = `, ${unit}`;
};

measure.addEventListener("change", fit);
kind.addEventListener("change", fit);
fit();
