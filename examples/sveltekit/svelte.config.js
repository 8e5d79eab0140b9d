import adapter from '@sveltejs/adapter-static';

/** @type {import('@sveltejs/kit').Config} */
export default {
  // Any adapter works. This one writes files for a static server into `dist`.
  kit: { adapter: adapter({ pages: 'dist' }) },
};
