"use strict";
const form = document.forms.mark;
if (form) document.addEventListener("keydown", event => {
  const { points, comment } = form, typing = event.target.matches("input, textarea");
  const press = selector => { const found = document.querySelector(selector); if (found) { event.preventDefault(); found.click(); } };
  if (event.altKey && /^Digit[1-9]$/.test(event.code)) return press(`li:nth-child(${event.code[5]}) [data-comment]`);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return press("[value=next]");
  if (event.key === "Escape") return event.target.blur();
  if (typing || event.altKey || event.ctrlKey || event.metaKey) return;
  if (/^[0-9]$/.test(event.key)) { points.focus(); points.select(); }
  else if (event.key === "c") { event.preventDefault(); comment.focus(); }
  else if (event.key === "o") document.querySelector("[name=only]")?.focus();
  else if (/^[a-z]$/.test(event.key)) press(`[data-key=${event.key}]`);
});
for (const button of document.querySelectorAll("[data-points]"))
  button.addEventListener("click", () => { form.points.value = button.dataset.points; });
for (const button of document.querySelectorAll("[data-comment]"))
  button.addEventListener("click", () => {
    const { comment } = form, before = comment.value.trimEnd();
    comment.value = before ? `${before}\n${button.dataset.comment}` : button.dataset.comment;
  });
