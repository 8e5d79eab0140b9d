/** The form for the admin key. */
import { command, h } from './elements.js';

/** `enter` is called with the key; `message` says why there is a form, if there was a key before. */
export function login(message, enter) {
  const input = h('input', {
    id: 'key',
    type: 'password',
    autocomplete: 'off',
    spellcheck: 'false',
    required: true,
    'aria-describedby': 'key-help',
  });
  const button = h('button', { type: 'submit', class: 'primary' }, 'Log in');
  const problem = h('p', { class: 'problem', role: 'alert' }, message);
  const submit = async (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (key === '') return;
    button.disabled = true;
    problem.textContent = await enter(key);
    button.disabled = false;
    input.focus();
    input.select();
  };
  return h(
    'section',
    { class: 'card login' },
    h('h1', {}, 'Log in'),
    h(
      'form',
      { onsubmit: submit },
      h('label', { for: 'key' }, 'Admin key'),
      input,
      h(
        'p',
        { id: 'key-help', class: 'quiet' },
        'It stays in this tab and is forgotten when the tab is closed.',
      ),
      problem,
      button,
    ),
    h(
      'details',
      {},
      h('summary', {}, 'How to make a key'),
      h('p', {}, 'On the machine of the server:'),
      command('cloud-server keys new --file keys.toml --name operator --kind admin'),
      h(
        'p',
        {},
        'Then send SIGHUP to the server, which reads the file again. If it runs with --stored-keys, give --storage URL in place of --file; no SIGHUP is needed.',
      ),
    ),
  );
}
