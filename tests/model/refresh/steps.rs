//! The transitions. Each match arm is a few lines of `src/engine/vault`.

use super::actions::{Action, Statement};
use super::flight::{Answer, Failure, Flight, Step};
use super::guards::Guard;
use super::provider::{Rules, Tokens};
use super::state::{Request, Setup, State, Violation, Worker};
use super::tables::{Lease, Until, Version};

impl State {
    pub fn step(&mut self, setup: Setup, action: Action) {
        let rules = setup.rules;
        if action.is_fault() {
            self.faults -= 1;
        }
        match action {
            Action::Find(number) => {
                let found = self.row().map(|row| Step::Found {
                    version: row.version,
                    token: row.tokens,
                });
                self.flights[number].step = found.unwrap_or(Step::Idle);
            }
            Action::Run(number, statement) => self.run(setup, number, statement),
            Action::Send(number) => self.send(setup, number),
            Action::Refresh(number) => self.handle(rules, number),
            Action::RefreshTooLate(number) => self.handle(rules.strict(), number),
            Action::TurnAway(number) => {
                if let Some((lease, request)) = self.request(number) {
                    self.answer(number, lease, request, Answer::Busy);
                }
            }
            Action::Receive(number) => self.receive(setup, number),
            Action::Lose(number) | Action::TimeOut(number) => self.time_out(number),
            Action::Delay(number) => {
                self.stray = self.request(number).map(|(_, request)| request);
                self.time_out(number);
            }
            Action::ArriveLate => {
                if let Some(request) = self.stray.take() {
                    let answer = self.refresh(rules, request);
                    self.lose(answer);
                }
            }
            Action::GiveUp(number) => self.stop(number),
            Action::RevokeAtOnce(number) => {
                if let Step::RevokingAtOnce { tokens, overtaken } = self.flights[number].step {
                    self.revoke(rules, tokens, overtaken);
                }
                self.flights[number] = Flight::IDLE;
            }
            Action::Crash(number) => {
                self.crashed |= self.flights[number].lease().is_some();
                // The request of a dead process may still arrive.
                if self.stray.is_none() {
                    self.stray = self.request(number).map(|(_, request)| request);
                }
                self.stop(number);
            }
            Action::Stall(number) => self.flights[number].late = true,
            Action::LeaseRunsOut => self.run_out(),
            Action::SignOut => {
                self.sign_outs -= 1;
                self.tables.queue_grant(rules);
            }
            Action::SignIn => self.sign_in(setup),
            Action::Withdraw => {
                for login in 0..self.provider.chains.len() {
                    self.provider.chains[login].alive = false;
                }
            }
            Action::Work => self.work(setup),
            Action::WorkerCrashes => self.worker = Worker::Idle,
        }
    }

    /// The next statement of a flight.
    fn run(&mut self, setup: Setup, number: usize, statement: Statement) {
        let (rules, flight) = (setup.rules, self.flights[number]);
        let (is_run, is_heard) = (
            statement != Statement::Failed,
            statement == Statement::Committed,
        );
        let next = match flight.step {
            Step::Found { version, token } => {
                let lease = is_run.then(|| self.tables.lease(rules, version, number));
                let lease = lease.flatten().filter(|_| is_heard);
                lease.map(|lease| Step::Leased { lease, token })
            }
            Step::Received { lease, tokens, .. } => {
                let stored = is_run && self.store(setup, lease, tokens);
                match statement {
                    Statement::Committed if stored => None,
                    Statement::Committed => Some(Step::Superseded { tokens }),
                    _ => Some(Step::Received {
                        lease,
                        tokens,
                        tried: true,
                    }),
                }
            }
            Step::Failed { lease, failure } => {
                let ends = failure == Failure::Ended || !setup.has(Guard::OnlyInvalidGrantEnds);
                if is_run && ends {
                    self.end(setup, lease, failure);
                } else if is_run {
                    let answered = failure != Failure::Ambiguous;
                    self.tables.release(rules, lease, answered);
                }
                None
            }
            Step::Superseded { tokens } => match self.row() {
                _ if !is_heard && setup.has(Guard::LookIsRepeated) => Some(flight.step),
                _ if !is_heard => None,
                Some(_) if setup.has(Guard::LateTokensOfGrantAreDropped) => None,
                Some(_) => Some(Step::RevokingAtOnce {
                    tokens,
                    overtaken: false,
                }),
                None if setup.has(Guard::LateTokensAreQueued) => Some(Step::GivingBack { tokens }),
                None => None,
            },
            Step::GivingBack { tokens } => {
                if is_run {
                    self.tables.insert_revocation(rules, tokens);
                }
                let overtaken = self.row().is_some();
                (!is_heard).then_some(Step::RevokingAtOnce { tokens, overtaken })
            }
            step => Some(step),
        };
        self.flights[number] = next.map_or(Flight::IDLE, |step| flight.to(step));
    }

    /// `store_refreshed`.
    fn store(&mut self, setup: Setup, lease: Lease, tokens: Tokens) -> bool {
        let Some((version, replaced)) = self.tables.store_refreshed(setup.rules, lease, tokens)
        else {
            return false;
        };
        let is_older = replaced.login > tokens.login
            || (replaced.login == tokens.login && replaced.access > tokens.access);
        let is_other = version.grant != lease.version.grant;
        self.violate(is_older || is_other, Violation::OlderOverNewer);
        let chain = self.provider.chain(tokens.login);
        chain.lost &= chain.access != tokens.access;
        true
    }

    /// `grants::end`.
    fn end(&mut self, setup: Setup, lease: Lease, failure: Failure) {
        if let Some(row) = self.tables.end(setup.rules, lease) {
            let is_right = failure == Failure::Ended
                && row.version == lease.version
                && !self.provider.accepts(setup.rules, row.tokens);
            self.violate(!is_right, Violation::EndedWithoutReason);
        }
    }

    /// `try_refresh`, from the check of the lease's age on.
    fn send(&mut self, setup: Setup, number: usize) {
        let flight = self.flights[number];
        let Step::Leased { lease, token } = flight.step else {
            return;
        };
        if flight.late && setup.has(Guard::LeaseAge) {
            let failure = Failure::Kept;
            self.flights[number] = flight.to(Step::Failed { lease, failure });
            return;
        }
        let Version { grant, generation } = lease.version;
        let is_old = self
            .row()
            .is_some_and(|row| row.version.grant == grant && row.version.generation > generation);
        let awaited = self.flights.iter().any(|other| other.awaits(lease.version));
        self.violate(is_old || awaited, Violation::TwoRequests);
        let is_repeat = self.used == Some(lease.version);
        self.violate(is_repeat && lease.unanswered < 2, Violation::UnmarkedRepeat);
        let answer = None;
        self.flights[number] = Flight::at(Step::Asked {
            lease,
            token,
            answer,
        });
    }

    /// The request of a flight that the provider has not seen yet.
    fn request(&self, number: usize) -> Option<(Lease, Request)> {
        let Step::Asked {
            lease,
            token,
            answer: None,
        } = self.flights[number].step
        else {
            return None;
        };
        let version = lease.version;
        Some((lease, Request { version, token }))
    }

    /// The provider handles the request of a flight.
    fn handle(&mut self, rules: Rules, number: usize) {
        if let Some((lease, request)) = self.request(number) {
            let is_reuse = self.provider.is_reuse(rules, request.token);
            // Nothing can hold back a request that is on its way.
            let is_excused =
                self.provider.chain(request.token.login).lost || self.flights[number].late;
            self.violate(is_reuse && !is_excused, Violation::UsedTokenSent);
            let answer = self.refresh(rules, request).into();
            self.answer(number, lease, request, answer);
        }
    }

    fn answer(&mut self, number: usize, lease: Lease, request: Request, answer: Answer) {
        let flight = self.flights[number];
        self.flights[number] = flight.to(Step::Asked {
            lease,
            token: request.token,
            answer: Some(answer),
        });
        if flight.late {
            self.lose(self.flights[number].tokens());
        }
    }

    fn receive(&mut self, setup: Setup, number: usize) {
        let flight = self.flights[number];
        let Step::Asked {
            lease,
            answer: Some(answer),
            ..
        } = flight.step
        else {
            return;
        };
        let failure = match answer {
            Answer::Tokens(tokens) => {
                if !setup.has(Guard::LeaseLastsUntilStored) {
                    self.tables.release(setup.rules, lease, true);
                }
                let tried = false;
                self.flights[number] = flight.to(Step::Received {
                    lease,
                    tokens,
                    tried,
                });
                return;
            }
            Answer::InvalidGrant => Failure::Ended,
            Answer::Busy => Failure::Kept,
        };
        self.flights[number] = flight.to(Step::Failed { lease, failure });
    }

    /// `TokenError::Lost`.
    fn time_out(&mut self, number: usize) {
        let flight = self.flights[number];
        self.lose(flight.tokens());
        if let Some(lease) = flight.lease() {
            let failure = Failure::Ambiguous;
            self.flights[number] = flight.to(Step::Failed { lease, failure });
        }
    }

    /// The flight ends with all that it holds.
    fn stop(&mut self, number: usize) {
        self.lose(self.flights[number].tokens());
        self.flights[number] = Flight::IDLE;
    }

    /// From here on another flight may send the same token, as if the answer were lost.
    fn run_out(&mut self) {
        let owner = self.row().and_then(|row| row.lease_owner);
        let owner = owner.and_then(|owner| self.flights.get(owner));
        self.lose(owner.and_then(Flight::tokens));
        if let Some(row) = &mut self.tables.grants {
            row.lease_until = Until::Past;
        }
    }

    fn sign_in(&mut self, setup: Setup) {
        let login = u8::try_from(self.provider.logins()).unwrap_or_default();
        let tokens = self.provider.log_in(login);
        self.tables.store_login(setup.rules, login, tokens);
        for flight in &mut self.flights {
            if let Step::RevokingAtOnce { overtaken, .. } = &mut flight.step {
                *overtaken = true;
            }
        }
        if let Worker::Claimed { overtaken, .. } = &mut self.worker {
            *overtaken = true;
        }
    }

    /// `revoke_batch`, for one row.
    fn work(&mut self, setup: Setup) {
        self.worker = match self.worker {
            Worker::Idle => {
                let due = self.tables.revocations.first();
                due.map_or(Worker::Idle, |tokens| Worker::Due(*tokens))
            }
            Worker::Due(tokens) if self.tables.claim(setup.rules, tokens) => Worker::Claimed {
                tokens,
                overtaken: false,
            },
            Worker::Due(_) => Worker::Idle,
            Worker::Claimed { tokens, overtaken } => {
                self.revoke(setup.rules, tokens, overtaken);
                self.tables.revocations.remove(&tokens);
                Worker::Idle
            }
        };
    }
}
