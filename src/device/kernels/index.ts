export * from './adamw';
export * from './elementwise';
export * from './head';
export * from './kernel';
export * from './norm';
export { sum, sumGroups, sumRows } from './reduction';
export * from './rotary';
export * from './rows';
export * from './swiglu';
