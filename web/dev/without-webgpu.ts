/** Stands for the WebGPU module in a site that was built without it: cannot be imported. */
export {};

throw { code: 'no_adapter', message: 'this site was built without WebGPU' };
