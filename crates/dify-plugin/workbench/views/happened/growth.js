// A session that is read again while it goes on: what is new is added to what was read, so that a long one costs its length.

/** Asks for what is new since `session` was read; for all of it when nothing was. @param {string} id @param {any} session */
export const pathOfNews = (id, session) =>
  `/api/sessions/${encodeURIComponent(id)}?frames=${session?.frames.length ?? 0}&change=${session?.change ?? 0}`;

/** Whether more may come. @param {any} session */
export const goesOn = (session) => session.state === "running" || session.exchanges.some((exchange) => exchange.open);

/**
 * The session with what is new. Lists that have not changed stay the same objects, so that nothing of them is drawn again.
 * @param {any} session  as it was read, or null
 * @param {any} news     summary, new frames, exchanges that are new or were replaced, and new chunks of others (`grown`)
 */
export function withNews(session, news) {
  const { grown = [], ...summary } = news;
  if (!session) return { ...summary, frames: news.frames ?? [], exchanges: news.exchanges ?? [] };
  return {
    ...summary,
    frames: news.frames?.length ? session.frames.concat(news.frames) : session.frames,
    exchanges: news.exchanges?.length || grown.length ? exchangesWith(session.exchanges, news.exchanges ?? [], grown) : session.exchanges,
  };
}

function exchangesWith(known, replaced, grown) {
  const exchanges = [...known];
  const places = new Map(known.map((exchange, index) => [exchange.id, index]));
  for (const exchange of replaced) {
    if (places.has(exchange.id)) exchanges[places.get(exchange.id)] = exchange;
    else exchanges.push(exchange);
  }
  for (const { id, bytes, chunks } of grown) {
    const index = places.get(id);
    const response = exchanges[index]?.response;
    if (response) exchanges[index] = { ...exchanges[index], response: { ...response, bytes, chunks: (response.chunks ?? []).concat(chunks) } };
  }
  return exchanges;
}
