//! Why a request failed, as a problem document (RFC 9457) in the client's language.

use crate::language::Language;
use axum::body::Body;
use axum::http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use kexue_kg::KgError;
use serde_json::json;
use std::fmt::Display;
use std::time::Duration;

/// Why nobody can change the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// The embedded graph is part of the program.
    Embedded,
    /// No token allows changes.
    NoTokens,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// No such address.
    NoSuchPath,
    /// The address does not support this method.
    NoSuchMethod,
    /// The body is not declared as JSON.
    NotJson,
    /// The body is not JSON, or not of the expected shape.
    BadBody(String),
    /// The query of the address is not of the expected shape.
    BadQuery(String),
    /// The body has more bytes than this.
    TooLarge(usize),
    /// The body did not arrive in this time.
    SlowBody(Duration),
    /// A field has an invalid value.
    Invalid {
        /// Which field, such as `questions[2]`.
        field: String,
        /// What is wrong with it, in English and Chinese.
        problem: [String; 2],
    },
    /// A token is needed, or the given one is unknown or does not allow this.
    Unauthorized,
    /// The graph cannot be changed.
    ReadOnly(Unwritable),
    /// The client sent too many requests. It may try again after this time.
    TooMany(Duration),
    /// Too many questions are waiting. The client may try again after this time.
    Busy(Duration),
    /// The service is shutting down.
    Draining,
    /// The response was not ready before the request's deadline.
    Late,
    /// The graph does not contain it.
    NotFound {
        /// What, in English and Chinese.
        what: [String; 2],
    },
    /// Another program is changing the graph.
    WriterElsewhere,
    /// More than this number of subjects would have changes.
    TooManyChanges(usize),
    /// A change could not be written.
    NotWritten(String),
    /// The files cannot be loaded. The service continues with the previous ones.
    NotReloaded(String),
    /// A defect of the service, or a damaged index.
    Internal,
}

/// The properties that all faults of a kind share.
struct Kind {
    status: StatusCode,
    /// The last part of the problem's type.
    name: &'static str,
    title: [&'static str; 2],
}

impl Fault {
    /// A field with an invalid value.
    pub(crate) fn invalid(field: impl Into<String>, english: impl Into<String>, chinese: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            problem: [english.into(), chinese.into()],
        }
    }

    /// A field whose number is too small or too large.
    pub(crate) fn out_of_range(field: &str, least: u64, most: u64) -> Self {
        Self::invalid(
            field,
            format!("must be between {least} and {most}"),
            format!("须在 {least} 与 {most} 之间"),
        )
    }

    /// The graph could not be read. The log says why.
    pub(crate) fn of_damage(error: impl Display) -> Self {
        crate::log::complain(&format!("the graph cannot be read: {error}"));
        Self::Internal
    }

    /// Why a change of the graph failed.
    pub(crate) fn of_change(error: &KgError) -> Self {
        match error {
            KgError::Busy { .. } => Self::WriterElsewhere,
            KgError::TooManyChanges { most } => Self::TooManyChanges(*most),
            KgError::Input { problem, .. } => Self::invalid("change", problem.clone(), problem.clone()),
            KgError::Io { source, .. } => Self::NotWritten(source.to_string()),
            error => Self::NotWritten(error.to_string()),
        }
    }

    /// The fault as a line of the log.
    pub(crate) fn for_log(&self) -> &str {
        match self {
            Self::NotReloaded(problem) | Self::NotWritten(problem) => problem,
            fault => fault.kind().title[0],
        }
    }

    fn kind(&self) -> Kind {
        let (status, name, title) = match self {
            Self::NoSuchPath => (
                StatusCode::NOT_FOUND,
                "no-such-path",
                ["No such address", "没有这个地址"],
            ),
            Self::NoSuchMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "no-such-method",
                ["Method not allowed", "不支持这种请求方法"],
            ),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                ["The body must be JSON", "请求体须为 JSON"],
            ),
            Self::BadBody(_) => (
                StatusCode::BAD_REQUEST,
                "bad-body",
                ["The body cannot be read", "无法读取请求体"],
            ),
            Self::BadQuery(_) => (
                StatusCode::BAD_REQUEST,
                "bad-query",
                ["The query cannot be read", "无法读取查询参数"],
            ),
            Self::TooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                ["The body is too large", "请求体过大"],
            ),
            Self::SlowBody(_) => (
                StatusCode::REQUEST_TIMEOUT,
                "slow-body",
                ["The body arrived too slowly", "请求体传输过慢"],
            ),
            Self::Invalid { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                ["Invalid value", "参数值无效"],
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                ["A valid token is needed", "需要有效的令牌"],
            ),
            Self::ReadOnly(_) => (
                StatusCode::FORBIDDEN,
                "read-only",
                ["This service is read-only", "本服务只读"],
            ),
            Self::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                ["Too many requests", "请求过于频繁"],
            ),
            Self::Busy(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                ["Too many questions are waiting", "排队的问题过多"],
            ),
            Self::Draining => (
                StatusCode::SERVICE_UNAVAILABLE,
                "draining",
                ["The service is shutting down", "服务即将停止"],
            ),
            Self::Late => (
                StatusCode::GATEWAY_TIMEOUT,
                "late",
                ["The deadline has passed", "未能在时限内作答"],
            ),
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found", ["Not in the graph", "图谱中没有"]),
            Self::WriterElsewhere => (
                StatusCode::CONFLICT,
                "writer-elsewhere",
                ["Another program is changing the graph", "另一个程序正在修改图谱"],
            ),
            Self::TooManyChanges(_) => (
                StatusCode::CONFLICT,
                "too-many-changes",
                ["Too many changes since the index was built", "索引建成后的修改过多"],
            ),
            Self::NotWritten(_) => (
                StatusCode::INSUFFICIENT_STORAGE,
                "not-written",
                ["The change could not be written", "修改未能写入"],
            ),
            Self::NotReloaded(_) => (
                StatusCode::CONFLICT,
                "not-reloaded",
                ["The new files cannot be used", "新文件无法使用"],
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                ["Internal error", "服务内部出错"],
            ),
        };
        Kind { status, name, title }
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.kind().status
    }

    /// What happened and what to do, in one or two sentences.
    fn detail(&self, language: Language) -> String {
        let say = |english: &str, chinese: &str| language.pick(english, chinese).to_owned();
        match self {
            Self::NoSuchPath => say(
                "The addresses are listed at /openapi.json.",
                "全部地址见 /openapi.json。",
            ),
            Self::NoSuchMethod => say(
                "The header Allow lists the methods of this address; /openapi.json describes them.",
                "响应头 Allow 列出了此地址支持的方法，说明见 /openapi.json。",
            ),
            Self::NotJson => say(
                "Send the body with the header `Content-Type: application/json`.",
                "请在请求头中加上 `Content-Type: application/json`。",
            ),
            Self::BadBody(problem) => {
                say("The body is invalid: ", "请求体不符合要求：") + problem + say(".", "。").as_str()
            }
            Self::BadQuery(problem) => {
                say("The query is invalid: ", "查询参数不符合要求：") + problem + say(".", "。").as_str()
            }
            Self::TooLarge(most) => say(
                &format!("The body may have at most {most} bytes."),
                &format!("请求体最多 {most} 字节。"),
            ),
            Self::SlowBody(time) => say(
                &format!(
                    "The body did not arrive within {} s. Send it faster, or send less.",
                    time.as_secs_f64()
                ),
                &format!("请求体未在 {} 秒内传完；请加快传输，或减少内容。", time.as_secs_f64()),
            ),
            Self::Invalid { field, problem } => say(
                &format!("`{field}` {}.", problem[0]),
                &format!("`{field}` {}。", problem[1]),
            ),
            Self::Unauthorized => say(
                "Send the header `Authorization: Bearer TOKEN` with a token of this service that allows this.",
                "请在请求头 `Authorization: Bearer 令牌` 中给出有此权限的本服务令牌。",
            ),
            Self::ReadOnly(Unwritable::Embedded) => say(
                "The embedded graph cannot be changed. To change facts, start the service with a graph file and a file of tokens: \
                 `kexue serve --kg GRAPH --token-file TOKENS`.",
                "内置图谱不能修改。要修改事实，请用自己的图谱文件和令牌文件启动服务：`kexue serve --kg 图谱 --token-file 令牌文件`。",
            ),
            Self::ReadOnly(Unwritable::NoTokens) => say(
                "The service was started without tokens that allow changes. To change facts, start it with a file of tokens: \
                 `kexue serve --kg GRAPH --token-file TOKENS`.",
                "服务启动时没有指定写入令牌。要修改事实，请指定令牌文件：`kexue serve --kg 图谱 --token-file 令牌文件`。",
            ),
            Self::TooMany(_) => say(
                "This client has sent more requests than the limit allows; the header Retry-After says when to try again.",
                "该客户端的请求超过限额；响应头 Retry-After 给出重试时间。",
            ),
            Self::Busy(_) => say(
                "The queue is full; the header Retry-After says when to try again.",
                "队列已满；响应头 Retry-After 给出重试时间。",
            ),
            Self::Draining => say(
                "Send the request to another replica, or try again later.",
                "请改用其他副本，或稍后重试。",
            ),
            Self::Late => say(
                "The answer was not ready in time. Ask fewer questions at once, or allow more time with `deadline_ms`.",
                "答案未能及时得出；请减少一次提问的数量，或用 `deadline_ms` 放宽时限。",
            ),
            Self::NotFound { what } => say(
                &format!("The graph has no {}.", what[0]),
                &format!("图谱中没有{}。", what[1]),
            ),
            Self::WriterElsewhere => say(
                "Only one program may change a graph at a time. Try again when the other one has finished.",
                "图谱同一时间只能由一个程序写入；请等其完成后重试。",
            ),
            Self::TooManyChanges(most) => say(
                &format!(
                    "More than {most} subjects would have changes. Stop the service and write the changes into the index with `kexue kg compact`."
                ),
                &format!("有修改的主体将超过 {most} 个；请停止服务，用 `kexue kg compact` 把修改并入索引。"),
            ),
            Self::NotWritten(problem) => say(
                &format!("The change was not made: {problem}."),
                &format!("修改没有生效：{problem}。"),
            ),
            Self::NotReloaded(problem) => say(
                &format!("The service continues with the previous graph and model: {problem}."),
                &format!("服务继续使用原来的图谱和模型：{problem}。"),
            ),
            Self::Internal => say(
                "The log of the service has details. Trying again may help.",
                "详情见服务日志；也可以重试。",
            ),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(time) | Self::Busy(time) => Some(time.as_secs_f64().ceil().max(1.0) as u64),
            Self::Draining => Some(1),
            _ => None,
        }
    }

    /// Turns a response into the problem document in a language.
    pub(crate) fn render(&self, language: Language, mut response: Response) -> Response {
        let kind = self.kind();
        let mut document = json!({
            "type": format!("urn:kexue:problem:{}", kind.name),
            "title": language.pick(kind.title[0], kind.title[1]),
            "status": kind.status.as_u16(),
            "detail": self.detail(language),
        });
        if let Self::Invalid { field, .. } = self {
            document["field"] = field.clone().into();
        }
        *response.status_mut() = kind.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.append(VARY, HeaderValue::from_static("accept-language"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if *self == Self::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.remove(axum::http::header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(document.to_string());
        response
    }
}

/// Attaches the fault to a response. [`crate::around`], which knows the client's language, renders it.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
