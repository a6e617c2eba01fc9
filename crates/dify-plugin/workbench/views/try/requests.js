// The bodies of `POST /api/calls`: for each action its `type`, its fields as the daemon sends them, and whose credentials it takes.

/** @typedef {{action: string, type: string, data: object, credentials: string|null, answers: "typed"|"scripted"}} Call */

const call = (type, action, data, credentials = null) => ({ action, type, data, credentials, answers: "scripted" });

/** Where the credentials of a model are kept: its own if there are some, else the provider's. */
export const modelKey = (provider, modelType, model, own) => (own ? `model/${provider}/${modelType}/${model}` : `model/${provider}`);

/** @typedef {{provider: string, model: string, type: string, own: boolean}} Model  `own`: the model has its own credentials */

const ofModel = (model, action, data) => call("model", action, { provider: model.provider, model: model.model, model_type: model.type, ...data },
  modelKey(model.provider, model.type, model.model, model.own));

/** The actions of a model, by name. Each takes the model and what was typed. */
export const model = {
  validateProvider: (provider) => call("model", "validate_provider_credentials", { provider }, `model/${provider}`),
  validate: (one) => ofModel(one, "validate_model_credentials", {}),
  schema: (one) => ofModel(one, "get_ai_model_schemas", {}),
  /** @param {Model} one @param {{messages: any[], parameters: object, tools: any[], stop: string[], schema: object|null}} prompt */
  chat: (one, { messages, parameters, tools, stop, schema }) => ofModel(one, "invoke_llm", {
    model_parameters: parameters, prompt_messages: messages, tools: tools.length ? tools : null, stop: stop.length ? stop : null, json_schema: schema, stream: true,
  }),
  /** Takes what `chat` takes. @param {Model} one */
  startPolling: (one, prompt) => {
    const whole = model.chat(one, prompt);
    return { ...whole, action: "start_polling", data: { ...whole.data, stream: false } };
  },
  checkPolling: (one, state) => ofModel(one, "check_polling", { plugin_state: state }),
  chatTokens: (one, { messages, tools }) => ofModel(one, "get_llm_num_tokens", { prompt_messages: messages, tools: tools.length ? tools : null }),
  embed: (one, texts, inputType) => ofModel(one, "invoke_text_embedding", { texts, input_type: inputType }),
  embedMultimodal: (one, documents, inputType) => ofModel(one, "invoke_multimodal_embedding", { documents, input_type: inputType }),
  embedTokens: (one, texts) => ofModel(one, "get_text_embedding_num_tokens", { texts }),
  rerank: (one, query, docs, threshold, top) => ofModel(one, "invoke_rerank", { query, docs, score_threshold: threshold, top_n: top }),
  rerankMultimodal: (one, query, docs, threshold, top) => ofModel(one, "invoke_multimodal_rerank", { query, docs, score_threshold: threshold, top_n: top }),
  speak: (one, text, voice) => ofModel(one, "invoke_tts", { content_text: text, voice, tenant_id: "workbench" }),
  voices: (one, language) => ofModel(one, "get_tts_model_voices", { language }),
  transcribe: (one, hex) => ofModel(one, "invoke_speech2text", { file: hex }),
  moderate: (one, text) => ofModel(one, "invoke_moderation", { text }),
};

const access = (provider) => ({ provider, credential_type: "api-key" });

export const tool = {
  validate: (provider) => call("tool", "validate_tool_credentials", access(provider), `tool/${provider}`),
  invoke: (provider, name, parameters) => call("tool", "invoke_tool", { ...access(provider), tool: name, tool_parameters: parameters }, `tool/${provider}`),
  parameters: (provider, name) => call("tool", "get_tool_runtime_parameters", { ...access(provider), tool: name }, `tool/${provider}`),
};

/** The choices of a dynamic select. @param {"tool"|"trigger"|"datasource"} kind @param {string} action  a tool, an event, or `provider` */
export const options = (kind, provider, action, parameter) =>
  call("dynamic_parameter", "fetch_parameter_options", { ...access(provider), provider_action: action, parameter }, `${kind}/${provider}`);

/** The settings are kept as credentials, so that the secret ones stay in the server. */
export const endpoint = (rawRequest) => call("endpoint", "invoke_endpoint", { raw_http_request: rawRequest }, "endpoint");

export const strategy = (provider, name, parameters) => call("agent_strategy", "invoke_agent_strategy", {
  agent_strategy_provider: provider, agent_strategy: name, agent_strategy_params: parameters,
});

const source = (action, provider, name, more) => call("datasource", action, { ...access(provider), datasource: name, ...more }, `datasource/${provider}`);

export const datasource = {
  validate: (provider) => call("datasource", "validate_datasource_credentials", access(provider), `datasource/${provider}`),
  crawl: (provider, name, parameters) => source("invoke_website_datasource_get_crawl", provider, name, { datasource_parameters: parameters }),
  pages: (provider, name, parameters) => source("invoke_online_document_datasource_get_pages", provider, name, { datasource_parameters: parameters }),
  content: (provider, name, page) => source("invoke_online_document_datasource_get_page_content", provider, name, { page }),
  browse: (provider, name, request) => source("invoke_online_drive_browse_files", provider, name, { request }),
  download: (provider, name, file) => source("invoke_online_drive_download_file", provider, name, { request: file }),
};

const ofTrigger = (action, provider, more) => call("trigger", action, { ...access(provider), ...more }, `trigger/${provider}`);

export const trigger = {
  validate: (provider) => ofTrigger("validate_trigger_credentials", provider, {}),
  subscribe: (provider, endpointUrl, parameters) => ofTrigger("subscribe_trigger", provider, { endpoint: endpointUrl, parameters }),
  unsubscribe: (provider, subscription) => ofTrigger("unsubscribe_trigger", provider, { subscription }),
  refresh: (provider, subscription) => ofTrigger("refresh_trigger", provider, { subscription }),
  dispatch: (provider, subscription, raw) => ofTrigger("dispatch_trigger_event", provider, { subscription, raw_http_request: raw }),
  event: (provider, name, raw, parameters, subscription, payload) =>
    ofTrigger("invoke_trigger_event", provider, { event: name, raw_http_request: raw, parameters, subscription, payload }),
};

const ofOAuth = (action, provider, more) => call("oauth", action, { provider, ...more });

export const oauth = {
  address: (provider, redirect, client) => ofOAuth("get_authorization_url", provider, { redirect_uri: redirect, system_credentials: client }),
  exchange: (provider, redirect, client, raw) =>
    ofOAuth("get_credentials", provider, { redirect_uri: redirect, system_credentials: client, raw_http_request: raw }),
  refresh: (provider, redirect, client, credentials) =>
    ofOAuth("refresh_credentials", provider, { redirect_uri: redirect, system_credentials: client, credentials }),
};
