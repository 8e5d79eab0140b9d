// Only the line above the list: the element needs no script of the page.
const status = document.querySelector('[role="status"]');
document.addEventListener('tandem-update', ({ detail: { error, decision } }) => {
  status.textContent = error?.message ?? decision.reason;
});
