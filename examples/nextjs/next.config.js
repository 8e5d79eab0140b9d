/** @type {import('next').NextConfig} */
export default {
  // Files for a static server, in `dist`. Without these lines, `next start` serves the page.
  output: 'export',
  distDir: 'dist',
};
