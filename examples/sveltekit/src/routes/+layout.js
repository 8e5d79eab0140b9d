// The page is rendered when the site is built: the first list is requested in the browser.
export const prerender = true;
