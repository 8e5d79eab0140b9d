import { glue } from './glue.js';

const { init, Client } = glue('cpu');

export { Client, init as default };
