/**
 * Sets the colours before the page is painted. TypeDoc does this in an inline script, which a
 * strict policy forbids. The groups of the navigation are open until the reader closes them.
 */
document.documentElement.dataset.theme = localStorage.getItem('tsd-theme') || 'os';
for (const group of document.currentScript.dataset.groups.split('|')) {
  const key = `tsd-accordion-${group}`;
  if (localStorage.getItem(key) === null) localStorage.setItem(key, 'true');
}
