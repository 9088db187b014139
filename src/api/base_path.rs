//! The path under which a proxy serves this server (`server.base_path`), in requests that still have it.
//!
//! Some proxies take the path off, others do not. So every path is served with it and without it: the path is taken off here,
//! before the routes are looked at. The rejected alternative is to have all routes twice, which would make each of them slower.
//!
//! Not here: links with the path before them (`public_url`).

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Uri;
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::{State, add_slash, route_of};

/// Takes the base path off the path of a request, if it begins with it, and passes the request on. The base path itself
/// redirects to its pages.
pub(crate) async fn strip_base_path(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let state = request.app_data::<Data<State>>().expect("the state is there for all routes").clone();
    let base = state.public_urls.base_path.as_str();
    // A path that is served as it is may begin with the base path by chance.
    if let Some(rest) = request.path().strip_prefix(base)
        && route_of(request.path()) == "other"
    {
        if rest.is_empty() {
            let request = request.into_parts().0;
            let response = add_slash(request.clone()).await;
            return Ok(ServiceResponse::new(request, response));
        }
        if rest.starts_with('/')
            && let Some(uri) = without(base, request.uri())
        {
            request.match_info_mut().get_mut().update(&uri);
            request.head_mut().uri = uri;
        }
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// The URI without the beginning of its path.
fn without(base: &str, uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(parts.path_and_query?.as_str().strip_prefix(base)?.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_beginning_of_the_path_stays() {
        for (uri, rest) in [
            ("/base/v6/metrics/?page=2", Some("/v6/metrics/?page=2")),
            ("/base/", Some("/")),
            ("/base//v6", Some("//v6")),
            ("http://a.example/base/v6/?x", Some("http://a.example/v6/?x")),
            ("/other/v6/", None),
        ] {
            let stripped = without("/base", &uri.parse().unwrap());
            assert_eq!(stripped.map(|uri| uri.to_string()).as_deref(), rest, "{uri}");
        }
    }
}
