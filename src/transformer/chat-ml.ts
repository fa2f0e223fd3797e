/** ChatML, the form in which Qwen2 models read a chat: `<|im_start|>role`, a line break, the content, `<|im_end|>`, a line break. */
export const chatML =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
