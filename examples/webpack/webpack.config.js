export default {
  entry: ['./src/index.html', './src/style.css', './src/main.js'],
  module: {
    // Page and style sheet are copied unchanged.
    rules: [
      { test: /\.(html|css)$/, type: 'asset/resource', generator: { filename: '[name][ext]' } },
    ],
  },
};
