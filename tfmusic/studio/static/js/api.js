// Talks to the server. An error is thrown with the server's one line.

async function answer(response) {
  let body = {};
  const text = await response.text();
  try {
    body = JSON.parse(text);
  } catch {
    body = { error: text.trim() };
  }
  if (!response.ok) {
    const error = new Error(body.error || `the server answered ${response.status}`);
    error.status = response.status;
    throw error;
  }
  return body;
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer; is tfmusic still running?");
  }
  return answer(response);
}

export const get = (path) => send(path);

export const post = (path, body) =>
  send(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

export const upload = (file) =>
  send(`/api/pieces?name=${encodeURIComponent(file.name)}`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: file,
  });

// How often the page says how long it has waited.
const PROGRESS_SECONDS = 0.4;

/** Starts a job and waits for its end; null where it was cancelled. */
export async function run(path, body, { onProgress, signal } = {}) {
  let job = await post(path, body);
  const name = job.id;
  while (job.state === "waiting" || job.state === "running") {
    onProgress?.(job);
    job = await get(`/api/jobs/${name}?wait=${PROGRESS_SECONDS}`);
    if (signal?.aborted) {
      await send(`/api/jobs/${name}`, { method: "DELETE" });
      return null;
    }
  }
  if (job.state === "failed") {
    const error = new Error(job.error);
    error.status = job.status;
    throw error;
  }
  return job.state === "cancelled" ? null : job;
}
