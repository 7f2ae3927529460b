// Asking the server: every task answers with lines of JSON as it goes on.

export class Stopped extends Error {}

export async function about() {
  const answer = await fetch("api/zoo");
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer.json();
}

// Does a task and returns its result. `hear` is given each piece of news before; `signal` stops it.
export async function ask(task, data, { signal, hear = () => {} } = {}) {
  try {
    const answer = await fetch(`api/${task}`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(data), signal,
    });
    if (!answer.ok) throw new Error((await answer.json()).error);
    for await (const news of lines(answer.body)) {
      if (news.event === "error") throw new Error(news.message);
      if (news.event === "done") return news;
      hear(news);
    }
    throw new Error("the answer broke off: is the studio still running? What you drew is kept");
  } catch (error) {
    if (error.name === "AbortError") throw new Stopped();
    if (error instanceof TypeError) throw new Error("the studio does not answer: is it still running? What you drew is kept");
    throw error;
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

export async function base64(blob) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("the file cannot be read"));
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}

export function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}
