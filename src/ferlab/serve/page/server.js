/** Analyze images on the server that this page comes from. The interface is described in `analyzer.js`. */

const FRAME_QUALITY = 0.9; // of JPEG, 0..1
const ANSWER_TIMEOUT = 3000; // milliseconds after which a frame counts as dropped

/** The server needs a token, or another one. */
export class TokenError extends Error {
  name = "TokenError";
}

/**
 * @param token - the token of the server, if it has one.
 * @throws TokenError if the server needs one.
 */
export async function openAnalyzer(token) {
  const analyzer = new ServerAnalyzer(token);
  analyzer.card = await analyzer.request("v1/model");
  return analyzer;
}

class ServerAnalyzer {
  place = `Images are sent to ${location.host}, and not stored there.`;

  constructor(token) {
    this.token = token;
  }

  async photo(file) {
    const form = new FormData();
    form.append("files", file, file.name || "image");
    try {
      const { results } = await this.request("v1/predict", { method: "POST", body: form });
      return results[0];
    } catch (error) {
      if (error instanceof TokenError) throw error;
      return { faces: [], error: error.message };
    }
  }

  async openStream() {
    const url = new URL("v1/stream", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, this.token ? ["ferlab", `bearer.${base64url(this.token)}`] : ["ferlab"]);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = () =>
        reject(new Error("The server does not accept a video stream. It may be busy: try again later."));
    });
    return new ServerStream(socket);
  }

  /** Send a request, and return the JSON of the answer. */
  async request(path, options = {}) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    let response;
    try {
      response = await fetch(new URL(path, document.baseURI), { ...options, headers });
    } catch {
      throw new Error("The server does not answer. Check that it runs, and try again.");
    }
    const answer = await response.json().catch(() => ({}));
    if (response.status === 401) throw new TokenError("The server needs a valid token.");
    if (!response.ok) throw new Error(answer.error ?? `The server answered with the error ${response.status}.`);
    return answer;
  }
}

class ServerStream {
  #waiting = new Map(); // frame number -> function that takes its result
  #sent = 0;
  #failure;

  constructor(socket) {
    this.socket = socket;
    socket.onmessage = ({ data }) => this.#answer(JSON.parse(data));
    socket.onclose = () => this.#fail(new Error("The connection to the server was closed. Start again."));
  }

  async analyze(canvas) {
    const frame = await canvas.convertToBlob({ type: "image/jpeg", quality: FRAME_QUALITY });
    if (this.#failure) throw this.#failure;
    const number = this.#sent++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(number, undefined), ANSWER_TIMEOUT);
      this.#waiting.set(number, (result, error) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve(result);
      });
      this.socket.send(frame);
    });
  }

  close() {
    this.socket.close();
  }

  #answer(result) {
    for (const number of this.#waiting.keys()) if (number < result.frame) this.#settle(number, undefined); // dropped
    this.#settle(result.frame, result);
  }

  #settle(number, result, error) {
    this.#waiting.get(number)?.(result, error);
    this.#waiting.delete(number);
  }

  #fail(error) {
    this.#failure = error;
    for (const number of this.#waiting.keys()) this.#settle(number, undefined, error);
  }
}

function base64url(text) {
  const binary = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
