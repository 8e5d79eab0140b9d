import { glue } from './glue.js';

const { init, Client } = glue('webgpu');

export { Client, init as default };
