"""What moved lately, and what else moved with it: measurement for the operator's sentence, no words."""
