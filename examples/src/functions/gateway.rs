//! The HTTP API behind API Gateway: what only the gateway knows of a request.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use kairos::scheduler::SchedulerConfig;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayRequestAuthorizer, ApiGatewayRequestIdentity};
use lambda_http::http::uri::PathAndQuery;
use lambda_http::http::{Request, Uri};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Service as _};
use serde_json::Value;

use super::{Installation, SetupError};
use crate::http::{Api, Caller, router};

/// How long a request waits for others that change the same schedule, and how long one call of the scheduler service may take: API Gateway
/// gives up after 29 s, and by then a caller is to know whether to come again.
const PATIENCE: Duration = Duration::from_secs(12);
const CALL_LIMIT: Duration = Duration::from_secs(12);

/// The router over the tables, the triggers and the queue of an installation.
///
/// # Errors
/// If a name that it needs is not configured.
pub fn api(installation: &Installation) -> Result<Router, SetupError> {
    let Installation { config, sdk, clock, .. } = installation;
    let mut limits = SchedulerConfig::default().with_policy(config.policy());
    (limits.patience, limits.call_limit) = (PATIENCE, CALL_LIMIT);
    let scheduler = config.scheduler(sdk)?.with_config(limits);
    Ok(router(Api::new(scheduler, clock.clone()).with_history(Arc::new(config.history(sdk)?))))
}

/// Answers one request, and logs a line of it.
///
/// # Errors
/// Never: what goes wrong is an answer as well.
pub async fn answer(mut router: Router, request: Request<Body>) -> Result<Response, Infallible> {
    let request = prepared(request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let caller = request.extensions().get::<Caller>().and_then(|caller| caller.0.clone());
    let response = router.call(request).await?;
    tracing::info!(%method, path, caller, status = response.status().as_u16(), "answered");
    Ok(response)
}

/// Who the gateway says that a caller is, as it has verified it: by a JWT (`sub`, else the user's name or the client), by a function that
/// authorizes (`principalId`), by IAM (the ARN), or by an API key (its id).
#[must_use]
pub fn caller(context: &RequestContext) -> Option<String> {
    let known = match context {
        RequestContext::ApiGatewayV1(context) => {
            authorized(&context.authorizer).or_else(|| identified(&context.identity))
        }
        RequestContext::ApiGatewayV2(context) => context.authorizer.as_ref().and_then(authorized),
        _ => None,
    };
    known.filter(|name| !name.is_empty())
}

fn authorized(authorizer: &ApiGatewayRequestAuthorizer) -> Option<String> {
    const CLAIMS: [&str; 4] = ["sub", "username", "cognito:username", "client_id"];
    let jwt = authorizer.jwt.as_ref();
    let by_jwt = || jwt.and_then(|jwt| CLAIMS.iter().find_map(|claim| jwt.claims.get(*claim).cloned()));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let claims = authorizer.fields.get("claims");
    let by_user_pool = || claims.and_then(|claims| CLAIMS.iter().find_map(|claim| claims.get(claim).and_then(text)));
    let by_function = || authorizer.fields.get("principalId").and_then(text);
    let by_iam = || authorizer.iam.as_ref().and_then(|iam| iam.user_arn.clone());
    by_jwt().or_else(by_user_pool).or_else(by_function).or_else(by_iam)
}

fn identified(identity: &ApiGatewayRequestIdentity) -> Option<String> {
    identity.user_arn.clone().or_else(|| identity.api_key_id.clone())
}

/// A request as the router knows it: without the gateway's stage in its path, and with its [`Caller`].
#[must_use]
pub fn prepared<B>(mut request: Request<B>) -> Request<B> {
    let context = request.extensions().get::<RequestContext>();
    let caller = Caller(context.and_then(caller));
    let stage = match context {
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        _ => None,
    };
    if let Some(uri) = stage.and_then(|stage| without_stage(request.uri(), &stage)) {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(caller);
    request
}

fn without_stage(uri: &Uri, stage: &str) -> Option<Uri> {
    let rest = uri.path().strip_prefix('/')?.strip_prefix(stage)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = if rest.is_empty() { "/" } else { rest };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{path}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}
