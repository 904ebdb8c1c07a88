//! Tests of accounts: sessions, tokens, invitations, and what guessing costs.

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn secret(text: &str) -> Secret {
    Secret::of(text)
}

#[test]
fn a_login_link_is_good_once_and_for_ten_minutes() {
    let mut accounts = Accounts::default();
    accounts.add_login(secret("a"), 0);
    accounts.add_login(secret("b"), 0);
    assert!(accounts.follow(secret("c"), 1).is_none());
    let owner = Who { account: OWNER.to_owned(), role: Role::Admin, session: None };
    assert_eq!(accounts.follow(secret("a"), LINK_MS - 1), Some(owner));
    assert!(accounts.follow(secret("a"), LINK_MS - 1).is_none(), "used");
    assert!(accounts.follow(secret("b"), LINK_MS).is_none(), "too late");
    for number in 0..=MAX_LINKS {
        accounts.add_login(secret(&number.to_string()), number as u64);
    }
    assert!(accounts.follow(secret("0"), 40).is_none(), "the oldest went");
    assert!(accounts.follow(secret("1"), 40).is_some());
}

#[test]
fn a_session_ends_by_silence_by_age_and_by_hand() {
    let mut accounts = Accounts::default();
    accounts.add_login(secret("l"), 0);
    let who = accounts.follow(secret("l"), 0).unwrap();
    for name in ["silent", "used", "ended"] {
        accounts.begin(&who, secret(name), HERE, 0);
    }
    assert_eq!(accounts.sessions(None, 0).len(), 3);
    let own = secret("ended").handle();
    assert_eq!(accounts.sessions(Some(&own), 0).iter().filter(|session| session.own).count(), 1);
    assert!(accounts.end(&own) && !accounts.end(&own) && accounts.session(secret("ended"), 1).is_none());
    let mut now = 0;
    while now + IDLE_MS / 2 < SESSION_MS {
        now += IDLE_MS / 2;
        assert!(accounts.session(secret("used"), now).is_some());
    }
    assert!(accounts.session(secret("silent"), IDLE_MS).is_none());
    assert!(accounts.session(secret("used"), SESSION_MS).is_none());
}

#[test]
fn a_token_has_a_scope_and_an_end() {
    let mut accounts = Accounts::default();
    assert!(accounts.add_token(secret("t"), ("ci", Role::Metrics), 100, 0));
    let who = accounts.token(secret("t"), 99).unwrap();
    assert_eq!((who.role, &*who.account), (Role::Metrics, "token ci"));
    assert!(accounts.token(secret("t"), 100).is_none() && accounts.token(secret("x"), 0).is_none());
    let kept = serde_json::to_string(accounts.kept()).unwrap();
    let mut again = Accounts::new(serde_json::from_str(&kept).unwrap());
    let shown = again.tokens(0);
    assert_eq!((shown.len(), &*shown[0].name), (1, "ci"));
    assert!(again.end_token(&shown[0].id) && again.token(secret("t"), 0).is_none());
    for number in 0..MAX_TOKENS {
        assert!(again.add_token(secret(&number.to_string()), ("n", Role::Reader), 100, 0));
    }
    assert!(!again.add_token(secret("more"), ("n", Role::Reader), 100, 0));
}

#[test]
fn a_user_chooses_a_password_by_invitation_and_another_role_ends_his_sessions() {
    let mut accounts = Accounts::default();
    assert!(accounts.add_user(("eve", Role::Reader), secret("i"), 0));
    assert!(accounts.password("eve").is_none(), "none chosen");
    assert!(accounts.follow(secret("i"), 0).is_none(), "an invitation is no login");
    assert!(accounts.invites(secret("i"), 0) && !accounts.invites(secret("x"), 0));
    let who = accounts.choose(secret("i"), "hash", 0).unwrap();
    assert_eq!((&*who.account, who.role), ("eve", Role::Reader));
    assert!(accounts.choose(secret("i"), "other", 0).is_none());
    assert_eq!(accounts.password("eve").unwrap().1, "hash");
    accounts.begin(&who, secret("s"), HERE, 0);
    assert!(accounts.add_user(("eve", Role::Publisher), secret("j"), 0));
    assert!(accounts.session(secret("s"), 0).is_none() && accounts.password("eve").is_none());
    assert!(accounts.remove_user("eve") && !accounts.remove_user("eve"));
    assert!(accounts.choose(secret("j"), "hash", 0).is_none());
}

#[test]
fn guesses_are_paced_for_each_and_for_all_and_lock_nobody_out_for_good() {
    let mut accounts = Accounts::default();
    let from = |last| IpAddr::from([10, 0, 0, last]);
    for _ in 0..FREE_GUESSES {
        accounts.may_guess("eve", from(1), 0).unwrap();
        accounts.guessed_wrong("eve", from(1), 0);
    }
    assert_eq!(accounts.may_guess("eve", from(2), 0), Err(FIRST_PAUSE_MS), "the account");
    assert_eq!(accounts.may_guess("bob", from(1), 0), Err(FIRST_PAUSE_MS), "the address");
    assert_eq!(accounts.may_guess("bob", from(2), 0), Ok(()));
    let mut now = FIRST_PAUSE_MS;
    for _ in 0..20 {
        accounts.may_guess("eve", from(1), now).unwrap();
        accounts.guessed_wrong("eve", from(1), now);
        let wait = accounts.may_guess("eve", from(1), now).unwrap_err();
        assert!(wait <= LONGEST_PAUSE_MS);
        now += wait;
    }
    accounts.guessed_right("eve", from(1));
    accounts.may_guess("eve", from(1), now).unwrap();
    let second = now / 1_000 * 1_000 + 1_000;
    for number in 0..GUESSES_A_SECOND {
        accounts.may_guess(&number.to_string(), from(9), second + 400).unwrap();
    }
    assert_eq!(accounts.may_guess("more", from(9), second + 400), Err(600));
    assert_eq!(accounts.may_guess("more", from(9), second + 1_000), Ok(()));
}

#[test]
fn of_ten_thousand_guesses_few_are_listened_to() {
    let mut accounts = Accounts::default();
    let heard = (0..10_000_u64).filter(|number| {
        let account = format!("user{}", number % 7);
        let heard = accounts.may_guess(&account, HERE, *number).is_ok();
        if heard {
            accounts.guessed_wrong(&account, HERE, *number);
        }
        heard
    });
    assert!(heard.count() <= 10, "within ten seconds");
    assert!(accounts.refused >= 9_990);
}
