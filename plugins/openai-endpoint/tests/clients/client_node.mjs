// The official client for Node, over every route that it has.
import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';

const baseURL = process.env.ENDPOINT_URL;
const client = new OpenAI({ baseURL, apiKey: process.env.ENDPOINT_KEY, maxRetries: 0, timeout: 20000 });
const user = (content) => [{ role: 'user', content }];
const ask = (content, more = {}) => client.chat.completions.create({ model: 'chat', messages: user(content), ...more });
const tool = {
  type: 'function',
  function: { name: 'forecast', parameters: { type: 'object', properties: { place: { type: 'string' } } } },
};

const checks = {
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert(names.includes('chat') && names.includes('app'));
    assert.equal((await client.models.retrieve('gpt-4o')).id, 'gpt-4o');
  },
  async 'chat whole'() {
    const answer = await ask('Hi', { temperature: 0.1, seed: 1 });
    assert.equal(answer.choices[0].message.content, 'Hello, Ada');
    assert.equal(answer.choices[0].message.reasoning_content, 'Hm.');
    assert.equal(answer.usage.total_tokens, 7);
  },
  async 'chat streamed'() {
    let text = '';
    let usage;
    for await (const chunk of await ask('Hi', { stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta?.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, 'Hello, Ada');
    assert.equal(usage.total_tokens, 7);
    const stream = client.chat.completions.stream({ model: 'chat', messages: user('Hi') });
    assert.equal((await stream.finalChatCompletion()).choices[0].message.content, 'Hello, Ada');
  },
  async 'tools round trip'() {
    const runner = client.chat.completions.runTools({
      model: 'chat',
      messages: user('Weather in Riga?'),
      tools: [{ type: 'function', function: { ...tool.function, parse: JSON.parse, function: ({ place }) => `sunny in ${place}` } }],
    });
    assert.equal(await runner.finalContent(), 'It is sunny in Riga.');
    const stream = client.chat.completions.stream({ model: 'chat', messages: user('Weather in Riga?'), tools: [tool] });
    const call = (await stream.finalChatCompletion()).choices[0].message.tool_calls[0];
    assert.equal(call.function.arguments, '{"place": "Riga"}');
  },
  async 'json schema'() {
    const schema = { type: 'object', properties: { name: { type: 'string' }, capital: { type: 'boolean' } } };
    const format = { type: 'json_schema', json_schema: { name: 'city', schema, strict: true } };
    const answer = await ask('Riga?', { response_format: format });
    assert.deepEqual(JSON.parse(answer.choices[0].message.content), { name: 'Riga', capital: true });
  },
  async completions() {
    assert.equal((await client.completions.create({ model: 'chat', prompt: 'Once' })).choices[0].text, 'Hello, Ada');
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model: 'embed', input: ['a', 'b'] });
    assert.deepEqual([...answer.data[1].embedding], [1, 0.5, -0.25]);
  },
  async audio() {
    const speech = await client.audio.speech.create({ model: 'speak', voice: 'alloy', input: 'Hello' });
    assert.equal(Buffer.from(await speech.arrayBuffer()).toString('latin1'), 'ID3\x04Hello');
    const file = await toFile(Buffer.from('RIFF1234'), 'a.wav');
    assert.equal((await client.audio.transcriptions.create({ model: 'listen', file })).text, 'heard 8 bytes');
  },
  async moderations() {
    const answer = await client.moderations.create({ model: 'judge', input: ['good', 'bad'] });
    assert.deepEqual(answer.results.map((result) => result.flagged), [false, true]);
  },
  async apps() {
    const turn = () => client.chat.completions.create({ model: 'app', messages: user('Hi'), metadata: { conversation_id: 'node' } });
    assert.equal((await turn()).choices[0].message.content, 'Turn 1');
    assert.equal((await turn()).choices[0].message.content, 'Turn 2');
  },
  async errors() {
    for (const [text, kind, code] of [
      ['rate', OpenAI.RateLimitError, 'rate_limit_exceeded'],
      ['credentials', OpenAI.PermissionDeniedError, 'provider_credentials'],
      ['context', OpenAI.BadRequestError, 'context_length_exceeded'],
      ['missing', OpenAI.NotFoundError, 'model_not_found'],
    ]) {
      await assert.rejects(ask(`fail:${text}`), (error) => error instanceof kind && error.code === code);
    }
    const stranger = new OpenAI({ baseURL, apiKey: 'sk-wrong-0123456789', maxRetries: 0 });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
    await assert.rejects(async () => {
      for await (const chunk of await ask('break', { stream: true })) void chunk;
    }, (error) => error instanceof OpenAI.APIError && error.code === 'rate_limit_exceeded');
  },
  async 'a client that leaves'() {
    const stream = await ask('endless', { stream: true });
    for await (const chunk of stream) {
      assert(chunk.choices);
      break;
    }
    stream.controller.abort();
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`ok   ${name}`);
}
