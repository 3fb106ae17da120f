//! Every sentence that people read about sign-in, scopes and failures.
//!
//! The voice of this site:
//!
//! 1. Say what happened in the title, in under eight words.
//! 2. Then say what to do. One way on is enough.
//! 3. "You" is the reader, "we" is this site. Matrica is Matrica.
//! 4. Use the active voice and contractions: "We can't show your NFTs".
//! 5. Use the words of the reader: page, wallet, sign-in. Not callback, token, grant.
//! 6. Do not blame the reader. Our mistakes are ours, and we say so.
//! 7. Say that nothing changed only after an attempt to change something.
//! 8. Name the thing: "Matrica isn't responding", not "an error occurred".
//! 9. Give times as people say them: "13 seconds ago", "within 10 minutes".
//! 10. One idea in a sentence. No exclamation marks, no "please" where nothing is asked.

pub mod errors;
pub mod form;
pub mod gate;
pub mod scopes;
pub mod sign_in;
