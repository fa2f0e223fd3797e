/** The page: it starts the worker, tells it what the visitor wants, and shows what comes back. */
import { Chat } from './chat';
import { Curves } from './curves';
import type { FromWorker, ToWorker } from './messages';
import { element } from './page';
import { showResults } from './results';
import { RunProgress } from './run-progress';

const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
const tell = (message: ToWorker) => worker.postMessage(message);

const controls = element<HTMLFormElement>('controls');
const start = element<HTMLButtonElement>('start');
const stop = element<HTMLButtonElement>('stop');
const curves = new Curves();
const progress = new RunProgress();
const chat = new Chat({
  send: (message) => tell({ type: 'say', message }),
  stop: () => tell({ type: 'stop' }),
  forget: () => tell({ type: 'forget' }),
});

const softwareNotice =
  'The browser uses no GPU here but one made of software, some hundred times slower. The micro size is chosen: it takes a minute or so and learns little.';

controls.addEventListener('submit', (event) => {
  event.preventDefault();
  const size = new FormData(controls).get('size') === 'micro' ? 'micro' : 'tiny';
  notify(undefined);
  chat.close();
  for (const id of ['results', 'curves', 'numbers']) element(id).hidden = true;
  setTraining(true);
  progress.begin();
  tell({ type: 'train', size, seed: element<HTMLInputElement>('seed').valueAsNumber });
});

stop.addEventListener('click', () => {
  stop.disabled = true;
  stop.textContent = 'Stopping …';
  tell({ type: 'stop' });
});

worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => receive(data));
worker.addEventListener('error', ({ message }) => {
  setTraining(false);
  start.disabled = true;
  notify(`The training thread has ended: ${message || 'it could not be loaded'}. Reload the page to start again.`);
});

function receive(message: FromWorker): void {
  switch (message.type) {
    case 'gpu':
      element('gpu').textContent = `Computes on ${message.name}.`;
      start.disabled = false;
      if (message.software) {
        controls.querySelector<HTMLInputElement>('[value=micro]')!.checked = true;
        notify(softwareNotice);
      }
      break;
    case 'no-gpu':
      element('gpu').hidden = true;
      controls.hidden = true;
      notify(message.message);
      break;
    case 'progress':
      if (message.progress.phase === 'ppo' && message.progress.done === 0) curves.begin(message.progress.total);
      progress.show(message.progress);
      break;
    case 'iteration':
      curves.add(message.point);
      break;
    case 'table':
      showResults(message.table);
      break;
    case 'trained': {
      const { parameters, stoppedAfter } = message;
      setTraining(false);
      if (stoppedAfter === undefined) progress.finish('Done.');
      else progress.end(`Stopped after ${stoppedAfter} iterations of PPO.`);
      chat.open(`${parameters.toLocaleString('en')} parameters`);
      break;
    }
    case 'failed':
      setTraining(false);
      progress.end(message.stopped ? 'Stopped.' : 'Failed.');
      if (!message.stopped) notify(`${message.message} The page keeps nothing of a run: start again.`);
      break;
    case 'reply':
      chat.write(message.text);
      break;
    case 'answered': {
      const { tokens, milliseconds = 0, problem } = message;
      chat.end(problem ?? `${tokens} tokens in ${(milliseconds / 1000).toFixed(1)} s`);
      break;
    }
    case 'profile':
      chat.showProfile(message.slots);
      break;
    default:
      message satisfies never;
  }
}

function setTraining(training: boolean): void {
  start.hidden = training;
  stop.hidden = !training;
  stop.disabled = false;
  stop.textContent = 'Stop';
  for (const input of controls.querySelectorAll('input')) input.disabled = training;
}

function notify(text: string | undefined): void {
  const notice = element('notice');
  notice.hidden = text === undefined;
  notice.textContent = text ?? '';
}
