//! The URL by which a client reaches this server: scheme, host and the path before all paths. Links begin with it.
//!
//! Behind a proxy, the request that arrives here is another one than the client has sent. The proxy says in headers what the
//! client's request was. Everybody can send these headers, so they are believed only if the peer of the connection is in
//! `server.trusted_proxies`. Each part is the first valid one of these:
//!
//! | part | sources |
//! | --- | --- |
//! | scheme | `proto` in `Forwarded`; `X-Forwarded-Proto`; an absolute request target; whether this server speaks TLS |
//! | host | `host` in `Forwarded`; `X-Forwarded-Host`; an absolute request target; `Host`; the address that the server listens on |
//! | prefix | `X-Forwarded-Prefix`; `server.base_path` |
//!
//! Each proxy on the way adds an element to these lists. The one that the outermost trusted proxy has added counts; a client may have
//! sent all that is before it. The server finds that one by reading the list of addresses (`for` in `Forwarded`, or `X-Forwarded-For`)
//! from its end, as long as the addresses are those of trusted proxies.
//!
//! Not here: pages and redirects, whose addresses are relative, so that any prefix stays; the `write_guard`, which believes no
//! header, since a browser on a trusted machine sends what a page tells it to.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::uri::Authority;

use crate::config::{BasePath, Network};

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The longest host that a proxy may name, in bytes: the longest domain name and a port.
const LONGEST_HOST: usize = 253 + 6;

/// Finds the public URL of requests.
pub(crate) struct PublicUrls {
    /// The address that the server listens on.
    pub(crate) listens_on: SocketAddr,
    /// The scheme that the server itself speaks.
    pub(crate) scheme: Scheme,
    pub(crate) base_path: BasePath,
    pub(crate) trusted_proxies: Vec<Network>,
}

/// A scheme of URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// The parts of the client's request that a trusted proxy names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Forwarded {
    scheme: Option<Scheme>,
    host: Option<String>,
    prefix: Option<BasePath>,
}

impl PublicUrls {
    /// The absolute URL of a request as its client sees it, without the query.
    pub(super) fn of(&self, request: &HttpRequest) -> String {
        let forwarded = self.forwarded(request);
        let target = request.uri().scheme_str().map(|scheme| Scheme::parse(scheme).unwrap_or(Scheme::Http));
        let scheme = forwarded.scheme.or(target).unwrap_or(self.scheme).name();
        let host = forwarded.host.unwrap_or_else(|| self.host(request));
        let prefix = forwarded.prefix.unwrap_or_else(|| self.base_path.clone());
        format!("{scheme}://{host}{}{}", prefix.as_str(), request.uri().path())
    }

    /// The path before all paths as the client of a request sees it.
    pub(super) fn prefix(&self, request: &HttpRequest) -> BasePath {
        self.forwarded(request).prefix.unwrap_or_else(|| self.base_path.clone())
    }

    /// The host that the request itself names; if it names none, or no valid one, the address that the server listens on.
    fn host(&self, request: &HttpRequest) -> String {
        if let Some(target) = request.uri().authority() {
            return without_user(target).to_owned();
        }
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let valid = host.filter(|host| host.parse::<Authority>().is_ok());
        valid.map_or_else(|| self.listens_on.to_string(), str::to_owned)
    }

    /// The parts that the headers of a request name, if its peer is trusted.
    fn forwarded(&self, request: &HttpRequest) -> Forwarded {
        let is_trusted = request.peer_addr().is_some_and(|peer| self.trusts(peer.ip()));
        if is_trusted { Forwarded::read(request.headers(), |ip| self.trusts(ip)) } else { Forwarded::default() }
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        // A socket for both families shows an IPv4 address as an IPv6 one.
        let ip = ip.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(ip))
    }
}

impl Scheme {
    /// Parses a scheme. `None` if it is not one of these.
    fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(text))
    }

    /// The name, as a URL begins with it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Forwarded {
    /// Reads the headers of a request from a trusted peer.
    fn read(headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> Self {
        let elements = list(headers, &header::FORWARDED);
        let clients = elements.iter().map(|element| parameter(element, "for"));
        let element = outermost(&elements, trusted_hops(clients, &trusts));
        let named = |name| element.and_then(|element| parameter(element, name));

        let clients = list(headers, &FORWARDED_FOR);
        let hops = trusted_hops(clients.iter().map(|client| Some(client.as_str())), &trusts);
        let value = |name| outermost(&list(headers, name), hops).cloned();
        Self {
            scheme: named("proto").and_then(Scheme::parse).or_else(|| Scheme::parse(&value(&FORWARDED_PROTO)?)),
            host: named("host")
                .filter(|host| is_host(host))
                .map(str::to_owned)
                .or_else(|| value(&FORWARDED_HOST).filter(|host| is_host(host))),
            prefix: value(&FORWARDED_PREFIX).and_then(|prefix| BasePath::new(&prefix)),
        }
    }
}

/// The elements of a list, which may be in several headers of the same name. A header that is not text has none.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| split(line, ',')).map(|element| element.trim().to_owned()).collect()
}

/// The parts of a text between separators. A separator within quotes does not count.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter: char| {
        let was_escaped = is_escaped;
        is_escaped = is_quoted && !was_escaped && letter == '\\';
        is_quoted ^= letter == '"' && !was_escaped;
        letter == separator && !is_quoted
    })
}

/// The value of a parameter in an element of `Forwarded`, without its quotes.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = split(element, ';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    let value = value.trim();
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// How many proxies one behind another are trusted, counted from this server. There is one at least: the peer. `clients` says of
/// each proxy, the outermost first, for whom it has sent the request on.
fn trusted_hops<'a>(
    clients: impl DoubleEndedIterator<Item = Option<&'a str>>,
    trusts: impl Fn(IpAddr) -> bool,
) -> usize {
    1 + clients.rev().take_while(|client| client.and_then(address).is_some_and(&trusts)).count()
}

/// The element of a list that the outermost trusted proxy has added, if each of them has added one; else the first one.
fn outermost<T>(list: &[T], trusted_hops: usize) -> Option<&T> {
    list.get(list.len().saturating_sub(trusted_hops))
}

/// The IP address of a client, which may have a port, or brackets.
fn address(client: &str) -> Option<IpAddr> {
    let with_port = || client.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || client.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    client.parse().ok().or_else(with_port).or_else(in_brackets)
}

/// Whether a proxy may name this host: a name or an address of plain characters, and a port if there is one.
fn is_host(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let port = text[authority.host().len().min(text.len())..].strip_prefix(':');
    text.len() <= LONGEST_HOST
        && text.bytes().all(is_plain)
        && !authority.host().is_empty()
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// The host and the port of an authority, without the user.
pub(super) fn without_user(authority: &Authority) -> &str {
    let authority = authority.as_str();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// The URL of a request for `/v6/` with these headers from that peer, to a server that trusts 10.0.0.0/8.
    fn url(peer: &str, headers: &[(&str, &str)]) -> String {
        let urls = PublicUrls {
            listens_on: ([127, 0, 0, 1], 8080).into(),
            scheme: Scheme::Http,
            base_path: BasePath::new("/base").unwrap(),
            trusted_proxies: vec![Network::new("10.0.0.0/8").unwrap()],
        };
        let request = TestRequest::with_uri("/v6/").peer_addr(SocketAddr::new(peer.parse().unwrap(), 1));
        let request = headers.iter().fold(request, |request, &header| request.append_header(header));
        urls.of(&request.to_http_request())
    }

    #[track_caller]
    fn assert_url(headers: &[(&str, &str)], expected: &str) {
        assert_eq!(url("10.0.0.1", headers), expected, "{headers:?}");
    }

    const OWN: (&str, &str) = ("Host", "own.example:1");

    #[test]
    fn only_a_trusted_peer_is_believed() {
        let headers = [
            OWN,
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "front.example"),
            ("X-Forwarded-Prefix", "/app/"),
        ];
        for peer in ["10.0.0.1", "10.255.255.255", "::ffff:10.0.0.1"] {
            assert_eq!(url(peer, &headers), "https://front.example/app/v6/", "{peer}");
        }
        let forwarded = [OWN, ("Forwarded", "host=front.example;proto=https")];
        for peer in ["127.0.0.1", "11.0.0.1", "::1", "::ffff:11.0.0.1"] {
            assert_eq!(url(peer, &headers), "http://own.example:1/base/v6/", "{peer}");
            assert_eq!(url(peer, &forwarded), "http://own.example:1/base/v6/", "{peer}");
        }
    }

    #[test]
    fn each_part_comes_from_the_first_source_that_names_a_valid_one() {
        let standard = |value| ("Forwarded", value);
        let (host, proto) = (("X-Forwarded-Host", "other.example"), ("X-Forwarded-Proto", "https"));
        assert_url(&[OWN], "http://own.example:1/base/v6/");
        assert_url(&[], "http://127.0.0.1:8080/base/v6/");
        assert_url(&[OWN, host, proto], "https://other.example/base/v6/");
        assert_url(&[OWN, host, proto, standard("host=front.example")], "https://front.example/base/v6/");
        assert_url(&[OWN, host, proto, standard("proto=http")], "http://other.example/base/v6/");
        assert_url(&[OWN, host, proto, standard("for=_x")], "https://other.example/base/v6/");
        assert_url(
            &[OWN, standard("For=\"[2001:db8::1]:1\" ; PROTO=HTTPS;host=\"front.example:8443\"")],
            "https://front.example:8443/base/v6/",
        );
        assert_url(&[OWN, host, standard("host=\"a b\"")], "http://other.example/base/v6/");
        assert_url(&[OWN, ("X-Forwarded-Prefix", "/")], "http://own.example:1/v6/");
    }

    #[test]
    fn of_a_list_the_element_counts_that_the_outermost_trusted_proxy_added() {
        let host = ("X-Forwarded-Host", "hostile.example, outer.example, inner.example");
        let from = |clients| ("X-Forwarded-For", clients);
        assert_url(&[host], "http://inner.example/base/v6/");
        assert_url(&[host, from("192.0.2.1")], "http://inner.example/base/v6/");
        assert_url(&[host, from("192.0.2.1, 10.0.0.2")], "http://outer.example/base/v6/");
        assert_url(&[host, from("10.9.9.9, 192.0.2.1, 10.0.0.2:123")], "http://outer.example/base/v6/");
        assert_url(&[host, from("unknown, 10.0.0.2")], "http://outer.example/base/v6/");
        // The headers of one name are one list.
        assert_url(
            &[("X-Forwarded-Host", "hostile.example"), ("X-Forwarded-Host", "inner.example")],
            "http://inner.example/base/v6/",
        );
        // A proxy that replaces the header leaves one element only.
        assert_url(
            &[("X-Forwarded-Host", "inner.example"), from("192.0.2.1, 10.0.0.3, 10.0.0.2")],
            "http://inner.example/base/v6/",
        );
        for (forwarded, host) in [
            ("host=hostile.example;for=10.0.0.5, host=outer.example;for=192.0.2.1, for=10.0.0.2", "outer.example"),
            ("host=outer.example;for=\"[2001:db8::1]\", for=\"10.0.0.2:80\";host=inner.example", "outer.example"),
            ("host=hostile.example, for=\"a,host=hostile.example;b\\\",\";host=inner.example", "inner.example"),
            // The outermost trusted proxy does not say by which host it was asked.
            ("for=192.0.2.1, for=10.0.0.2;host=inner.example", "127.0.0.1:8080"),
        ] {
            assert_url(&[("Forwarded", forwarded)], &format!("http://{host}/base/v6/"));
        }
    }

    #[test]
    fn hostile_values_count_as_missing() {
        let long = "a".repeat(LONGEST_HOST + 1);
        for host in [
            "", "a b", "a/b", "user@a", "a?b", "a#b", "a\"b", "<a>", "a'b", "a\\b", "a%41", ":80", "a:", "a:b",
            "a:99999", "[::1", "a:1:2", &long,
        ] {
            assert_url(&[OWN, ("X-Forwarded-Host", host)], "http://own.example:1/base/v6/");
            assert_url(&[OWN, ("Forwarded", &format!("host=\"{host}\""))], "http://own.example:1/base/v6/");
        }
        for host in ["[::1]:8080", "10.0.0.7", "xn--4ca.example:1", "A_b.example."] {
            assert_url(&[OWN, ("X-Forwarded-Host", host)], &format!("http://{host}/base/v6/"));
        }
        for scheme in ["", "javascript", "ht tp", "https:", "httpss", "ws"] {
            assert_url(&[OWN, ("X-Forwarded-Proto", scheme)], "http://own.example:1/base/v6/");
        }
        for prefix in
            ["", "a", "//evil.example", "/a/../b", "/a//b", "/a b", "/\"><script>", "/a?b", "http://evil.example/"]
        {
            assert_url(&[OWN, ("X-Forwarded-Prefix", prefix)], "http://own.example:1/base/v6/");
        }
    }

    #[test]
    fn a_server_with_tls_is_reached_by_https() {
        let urls = PublicUrls {
            listens_on: ([127, 0, 0, 1], 8080).into(),
            scheme: Scheme::Https,
            base_path: BasePath::default(),
            trusted_proxies: Network::loopback(),
        };
        let request = |headers: &[(&str, &str)]| {
            let request = TestRequest::with_uri("/v6/").peer_addr(([127, 0, 0, 1], 1).into());
            headers.iter().fold(request, |request, &header| request.append_header(header)).to_http_request()
        };
        assert_eq!(urls.of(&request(&[OWN])), "https://own.example:1/v6/");
        assert_eq!(urls.of(&request(&[OWN, ("X-Forwarded-Proto", "http")])), "http://own.example:1/v6/");
    }
}
