//! What a service refuses to let somebody do, in the words of those who can change that.

/// Where what each part must be allowed is written down.
const LIST: &str = "the README of kairos-aws lists what each part must be allowed";

/// Whether a code says that the credentials themselves are refused, not what they are used for.
pub(super) fn is_of_credentials(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "InvalidToken"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired"
            | "UnrecognizedClientException"
    )
}

/// What was refused to whom on what, and what to do about it.
pub(super) fn message(code: &str, text: Option<&str>) -> String {
    if is_of_credentials(code) {
        return format!(
            "the service does not accept the credentials: it answered {code}; look whether access key, secret key and \
             session token belong together and have not expired, and whether the clock is right"
        );
    }
    let text = text.filter(|text| !text.trim().is_empty());
    match text.and_then(Denial::of) {
        Some(denial) => denial.message(),
        None => {
            let text = text.unwrap_or("without saying what");
            format!("access denied: the service answered {code}: {}; {LIST}", text.trim_end_matches('.'))
        }
    }
}

/// A denial as all services word it (IAM user guide, "Access denied error message examples"): `User: WHO is not authorized to perform:
/// ACTION on resource: WHAT because no KIND policy allows the ACTION action`, or `with an explicit deny in a KIND policy`. From the
/// resource on, everything may be missing.
#[derive(Debug, PartialEq, Eq)]
struct Denial<'t> {
    who: Option<&'t str>,
    action: &'t str,
    resource: Option<&'t str>,
    /// The kind of policy in which nothing allows it.
    silent: Option<&'t str>,
    /// The kind of policy that forbids it.
    forbidding: Option<&'t str>,
}

impl<'t> Denial<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let (who, denied) = text.split_once(" is not authorized to perform: ")?;
        let who = who.rsplit_once("User:").map_or(who, |(_, who)| who).trim();
        let (action, rest) = denied.split_once(' ').unwrap_or((denied, ""));
        let word = |text: &'t str| text.split_whitespace().next();
        let (_, silent) = rest.split_once("because no ").unwrap_or_default();
        let (_, forbidding) = rest.split_once("with an explicit deny in ").unwrap_or_default();
        let forbidding = forbidding.trim_start_matches("a ").trim_start_matches("an ").trim_end_matches('.');
        Some(Self {
            who: Some(who).filter(|who| !who.is_empty()),
            action: action.trim_end_matches('.'),
            resource: rest.split_once("on resource: ").and_then(|(_, resource)| word(resource)),
            silent: silent.split_once(" allows ").map(|(kind, _)| kind),
            forbidding: Some(forbidding).filter(|kind| !kind.is_empty()),
        })
    }

    fn message(&self) -> String {
        let Self { action, .. } = self;
        let resource = self.resource.map(|resource| format!(" on {resource}")).unwrap_or_default();
        let who = self.who.unwrap_or("the caller");
        let (why, what_to_do) = match (self.silent, self.forbidding) {
            (_, Some(kind)) => (format!(", as the {kind} forbids it"), "make an exception there".to_owned()),
            (Some(kind), _) => (format!(", as no {kind} allows it"), "allow it there".to_owned()),
            // Two have to let it happen, and the service does not say which of them did not.
            _ if action.starts_with("sts:") => {
                let both = "allow it in a policy of who assumes the role and in the role's trust policy, \
                            which may ask for an external id";
                (String::new(), both.to_owned())
            }
            _ => (String::new(), "allow it in a policy of theirs".to_owned()),
        };
        format!("access denied: {who} may not do {action}{resource}{why}; {what_to_do} ({LIST})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: &str = "arn:aws:sts::123456789012:assumed-role/TareasScheduler/api";

    fn denied(rest: &str) -> String {
        message("AccessDeniedException", Some(&format!("User: {WHO} is not authorized to perform: {rest}")))
    }

    /// The texts are the service's own (IAM user guide, "Troubleshoot access denied error messages").
    #[test]
    fn a_denial_says_who_may_not_do_what_on_what_and_where_to_allow_it() {
        let table = "arn:aws:dynamodb:us-east-1:123456789012:table/TareasProcesos";
        let put = format!("access denied: {WHO} may not do dynamodb:PutItem on {table}");
        for (rest, expected) in [
            (
                format!(
                    "dynamodb:PutItem on resource: {table} because no identity-based policy allows the dynamodb:PutItem action"
                ),
                format!("{put}, as no identity-based policy allows it; allow it there ({LIST})"),
            ),
            (
                format!(
                    "dynamodb:PutItem on resource: {table} because no permissions boundary allows the dynamodb:PutItem action"
                ),
                format!("{put}, as no permissions boundary allows it; allow it there ({LIST})"),
            ),
            (
                format!("dynamodb:PutItem on resource: {table} with an explicit deny in a service control policy"),
                format!("{put}, as the service control policy forbids it; make an exception there ({LIST})"),
            ),
            (
                format!("dynamodb:PutItem on resource: {table} with an explicit deny in an identity-based policy"),
                format!("{put}, as the identity-based policy forbids it; make an exception there ({LIST})"),
            ),
            (
                format!("dynamodb:PutItem on resource: {table}"),
                format!("{put}; allow it in a policy of theirs ({LIST})"),
            ),
            (
                "dynamodb:PutItem because no identity-based policy allows the dynamodb:PutItem action".into(),
                format!(
                    "access denied: {WHO} may not do dynamodb:PutItem, as no identity-based policy allows it; allow it there ({LIST})"
                ),
            ),
        ] {
            assert_eq!(denied(&rest), expected);
        }
    }

    #[test]
    fn a_role_that_cannot_be_assumed_tells_of_both_its_sides() {
        let role = "arn:aws:iam::123456789012:role/kairos-ventas";
        let text = denied(&format!("sts:AssumeRole on resource: {role}"));
        assert_eq!(
            text,
            format!(
                "access denied: {WHO} may not do sts:AssumeRole on {role}; allow it in a policy of who assumes the role and in the \
                 role's trust policy, which may ask for an external id ({LIST})"
            )
        );
        let nobody = message("AccessDenied", Some("User: is not authorized to perform: sts:AssumeRole"));
        assert!(nobody.starts_with("access denied: the caller may not do sts:AssumeRole; allow it"), "{nobody}");
    }

    #[test]
    fn what_is_worded_otherwise_is_quoted() {
        let quoted = message("AccessDenied", Some("Access to the resource https://sqs.example/ is denied."));
        assert_eq!(
            quoted,
            format!(
                "access denied: the service answered AccessDenied: Access to the resource https://sqs.example/ is denied; {LIST}"
            )
        );
        for silent in [None, Some(""), Some("  ")] {
            let expected = format!("access denied: the service answered AccessDenied: without saying what; {LIST}");
            assert_eq!(message("AccessDenied", silent), expected);
        }
    }

    #[test]
    fn credentials_that_are_refused_are_told_from_what_they_may_not_do() {
        for code in ["ExpiredTokenException", "InvalidClientTokenId", "InvalidSignatureException"] {
            let text = message(code, Some("The security token included in the request is invalid."));
            assert!(text.contains(code) && text.contains("does not accept the credentials"), "{text}");
        }
    }
}
