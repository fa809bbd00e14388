//! Every route names who may take it: there is no other way to add one.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware::from_fn_with_state,
    routing::{MethodFilter, MethodRouter, on},
};

use super::{caller, person};
use crate::{domain::person::Right, web::Web};

/// Who may take a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody: it says nothing about anybody's data.
    Anyone,
    /// People who are not signed in yet: the forms of signing in.
    Visitor,
    /// People with a session whose role has this right.
    Person(Right),
    /// Programs with a token that has this right.
    Program(Right),
}

/// One route.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its method.
    pub method: Method,
    /// Its path, `{name}` for what varies.
    pub path: &'static str,
    /// Who may take it.
    pub who: Who,
}

/// The routes of the whole door.
#[derive(Debug)]
pub struct Routes {
    web: Web,
    router: Router<Web>,
    named: Vec<Named>,
}

impl Routes {
    /// None yet.
    #[must_use]
    pub fn new(web: Web) -> Self {
        Self { web, router: Router::new(), named: Vec::new() }
    }

    /// For anybody.
    #[must_use]
    pub fn open<H: Handler<T, Web>, T: 'static>(self, method: Method, path: &'static str, page: H) -> Self {
        let route = on(filter(&method), page);
        self.add(method, path, Who::Anyone, route)
    }

    /// A page for people who are not signed in. Its forms are checked to be ours.
    #[must_use]
    pub fn visitor<H: Handler<T, Web>, T: 'static>(self, method: Method, path: &'static str, page: H) -> Self {
        let gate = from_fn_with_state(self.web.clone(), person::visitor_gate);
        let route = on(filter(&method), page).route_layer(gate);
        self.add(method, path, Who::Visitor, route)
    }

    /// A page for people with this right. Its forms are checked to be ours before the page sees them.
    #[must_use]
    pub fn page<H: Handler<T, Web>, T: 'static>(self, method: Method, path: &'static str, right: Right, page: H) -> Self {
        self.person(method, path, right, true, page)
    }

    /// The same for what a page asks for by itself (events, refreshing): it does not keep a session awake.
    #[must_use]
    pub fn quiet<H: Handler<T, Web>, T: 'static>(self, method: Method, path: &'static str, right: Right, page: H) -> Self {
        self.person(method, path, right, false, page)
    }

    fn person<H: Handler<T, Web>, T: 'static>(
        self,
        method: Method,
        path: &'static str,
        right: Right,
        awake: bool,
        page: H,
    ) -> Self {
        let gate = from_fn_with_state((self.web.clone(), right, awake), person::gate);
        let route = on(filter(&method), page).route_layer(gate);
        self.add(method, path, Who::Person(right), route)
    }

    /// A route of the API for programs with this right.
    #[must_use]
    pub fn program<H: Handler<T, Web>, T: 'static>(self, method: Method, path: &'static str, right: Right, route: H) -> Self {
        let gate = from_fn_with_state((self.web.clone(), right), caller::gate);
        let route = on(filter(&method), route).route_layer(gate);
        self.add(method, path, Who::Program(right), route)
    }

    fn add(mut self, method: Method, path: &'static str, who: Who, route: MethodRouter<Web>) -> Self {
        self.named.push(Named { method, path, who });
        Self { router: self.router.route(path, route), ..self }
    }

    /// What there is, and the way to it.
    pub fn done(self) -> (Router<Web>, Vec<Named>) {
        (self.router, self.named)
    }
}

/// GET answers HEAD, too.
fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET)
}
