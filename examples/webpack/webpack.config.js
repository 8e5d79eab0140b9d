export default {
  entry: ['./src/index.html', './src/style.css', './src/main.js'],
  module: {
    // Page and style are taken as they are.
    rules: [
      { test: /\.(html|css)$/, type: 'asset/resource', generator: { filename: '[name][ext]' } },
    ],
  },
};
