export { type ScriptedChatModel, type ScriptedChatModelOptions, scriptedChatModel } from './scripted-chat-model';
