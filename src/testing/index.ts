export { type FakeClock, fakeClock } from './fake-clock';
export { type ScriptedChatModel, type ScriptedChatModelOptions, scriptedChatModel } from './scripted-chat-model';
export { type ScriptedUser, scriptedUser, type UserScript } from './scripted-user';
