// Requests to the service.

export class Problem extends Error {
  constructor(status, document) {
    super(document.title);
    this.status = status;
    this.detail = document.detail;
  }
}

export const session = {
  language: "en",
  get token() { return sessionStorage.getItem("kexue-token") || ""; },
  set token(token) { token ? sessionStorage.setItem("kexue-token", token) : sessionStorage.removeItem("kexue-token"); },
};

/** Sends a request and returns the JSON of the response. Throws a `Problem` if the service reports one, and a `TypeError` if there is no connection. */
export async function call(method, path, body, signal) {
  const headers = { "Accept-Language": session.language === "zh" ? "zh-CN" : "en" };
  if (session.token) headers.Authorization = `Bearer ${session.token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  if (response.ok) return response.json();
  let problem = { title: `HTTP ${response.status}`, detail: "" };
  try { problem = await response.json(); } catch { /* The page of a proxy. */ }
  throw new Problem(response.status, problem);
}

export function query(values) {
  return "?" + new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== null));
}

/** Makes a change. Returns whether there was anything to change, and the change that undoes it. */
export async function change(kind, what) {
  const requests = {
    add: () => call("POST", "v1/facts", what),
    replace: () => call("PUT", "v1/facts", what),
    remove: () => call("DELETE", "v1/facts" + query(what)),
    pin: () => call("PUT", "v1/pins", what),
    unpin: () => call("DELETE", "v1/pins" + query(what)),
  };
  const made = await requests[kind]();
  const { before } = made;
  const isPin = kind === "pin" || kind === "unpin";
  const back = before
    ? [isPin ? "pin" : "replace", before]
    : isPin ? ["unpin", { question: what.question }] : ["remove", { subject: what.subject, relation: what.relation }];
  return { changed: made.changed, back };
}
