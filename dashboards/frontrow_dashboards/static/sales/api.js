// Requests to the daemon. An answer is always {status, body}: status 0 is a network that did not answer.

const ANSWER_WITHIN_MS = 10_000; // the daemon answers in milliseconds, and after five seconds says that it cannot

export class Api {
  constructor({ prefix, token }) {
    this._prefix = prefix;
    this._token = token;
  }

  get(path) {
    return this._ask(path, { method: "GET" });
  }

  /** Do something to a lead, once for each `key`. */
  act(lead, act, wish, key) {
    const headers = { "content-type": "application/json", "idempotency-key": key };
    return this._ask(`leads/${encodeURIComponent(lead)}/${act}`, { method: "POST", headers, body: JSON.stringify(wish) });
  }

  async _ask(path, { headers = {}, ...rest }) {
    const giveUp = new AbortController();
    const patience = setTimeout(() => giveUp.abort(), ANSWER_WITHIN_MS);
    try {
      const authorization = `Bearer ${this._token}`;
      const response = await fetch(`${this._prefix}/api/v1/${path}`, { ...rest, headers: { ...headers, authorization }, signal: giveUp.signal });
      const body = await response.json().catch(() => null);
      return { status: response.status, body };
    } catch {
      return { status: 0, body: null };
    } finally {
      clearTimeout(patience);
    }
  }
}
