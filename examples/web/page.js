// @ts-check
const messages = element('messages');
const profile = element('profile');
const status = element('status');
const send = element('send');
const suggestions = element('suggestions');
const form = /** @type {HTMLFormElement} */ (element('form'));
const input = /** @type {HTMLTextAreaElement} */ (element('message'));

/** @type {AbortController | undefined} */
let answering;
let shown = '';

form.addEventListener('submit', (event) => {
  event.preventDefault();
  if (answering) answering.abort();
  else if (input.value.trim()) void say(input.value.trim());
});

input.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!answering) form.requestSubmit();
});

suggestions.addEventListener('click', ({ target }) => {
  if (target instanceof HTMLButtonElement && !answering) void say(target.textContent ?? '');
});

element('forget').addEventListener('click', async () => {
  answering?.abort();
  await fetch('profile', { method: 'DELETE' });
  messages.replaceChildren();
  status.textContent = 'Forgotten.';
  await readProfile();
});

await readProfile();
input.focus();

/** @param {string} message */
async function say(message) {
  input.value = '';
  for (const button of suggestions.querySelectorAll('button')) if (button.textContent === message) button.remove();
  add('user', message);
  const reply = add('agent', '');
  answering = new AbortController();
  send.textContent = 'Stop';
  status.textContent = '';
  try {
    const response = await fetch('messages', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ message }),
      signal: answering.signal,
    });
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
    for await (const { event, data } of readEvents(response.body)) {
      if (event === 'reply') reply.append(data);
      if (event === 'profile') showProfile(data);
      if (event === 'finish') status.textContent = data.problem ?? `${data.usage.outputTokens} tokens in ${data.latencyMs} ms`;
      if (event === 'error') throw new Error(data);
      messages.scrollTop = messages.scrollHeight;
    }
  } catch (error) {
    reply.classList.add('failed');
    if (!reply.textContent) reply.textContent = 'No answer';
    status.textContent = answering.signal.aborted ? 'Stopped.' : `That did not work: ${error instanceof Error ? error.message : error}`;
  } finally {
    answering = undefined;
    send.textContent = 'Send';
    input.focus();
  }
}

/**
 * Server-sent events of a response. EventSource would do only for GET.
 *
 * @param {ReadableStream<Uint8Array>} body
 */
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (pending + value).split('\n\n');
    pending = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (/** @type {string} */ name) => block.match(new RegExp(`^${name}: (.*)$`, 'm'))?.[1] ?? '';
      yield { event: field('event'), data: JSON.parse(field('data')) };
    }
  }
}

async function readProfile() {
  showProfile(await (await fetch('profile')).json());
}

/**
 * @typedef {{ text: string, source: string, quote?: string[], past: boolean }} Item
 * @param {{ label: string, items: Item[] }[]} slots
 */
function showProfile(slots) {
  const before = shown;
  shown = JSON.stringify(slots);
  profile.replaceChildren(
    ...slots.map((slot) => {
      const row = document.createElement('div');
      const current = slot.items.filter(({ past }) => !past);
      row.append(node('dt', slot.label));
      if (current.length === 0) row.append(node('dd', 'not known yet', 'unknown'));
      for (const { text, source, quote } of current) {
        const value = node('dd', text);
        value.append(evidence(source, quote));
        row.append(value);
      }
      for (const { text } of slot.items.filter(({ past }) => past)) row.append(node('dd', text, 'past'));
      if (before && !before.includes(JSON.stringify(slot))) row.className = 'fresh';
      return row;
    }),
  );
}

/** @param {string} source @param {string[]} [quote] */
function evidence(source, quote) {
  const line = node('small', source);
  if (!quote) return line;
  const [before = '', words = '', after = ''] = quote;
  line.append(`: “${before}`, node('mark', words), `${after}”`);
  return line;
}

/** @param {string} role @param {string} text */
function add(role, text) {
  const message = node('li', text, role);
  messages.append(message);
  messages.scrollTop = messages.scrollHeight;
  return message;
}

/** @param {string} name @param {string} text @param {string} [className] */
function node(name, text, className = '') {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}
