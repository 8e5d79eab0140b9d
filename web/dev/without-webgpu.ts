/** Replaces the WebGPU module in a site that was built without it; importing it fails. */
export {};

throw Object.assign(new Error('this site was built without the WebGPU module'), {
  code: 'no_adapter',
});
