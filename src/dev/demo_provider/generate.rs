//! Ids, addresses and balances, derived from a name so that they are the same in every run.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const NETWORKS: [&str; 4] = ["SOL", "ETH", "BTC", "MATIC"];

const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const HEX: &[u8] = b"0123456789abcdef";

pub fn uuid(seed: &str) -> String {
    let digest = Sha256::digest(seed);
    let bytes = std::array::from_fn(|index| digest[index]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// An address in the format of its network.
pub fn address(network: &str, seed: &str) -> String {
    match network {
        "SOL" => characters(seed, BASE58, 44),
        "BTC" => format!("bc1p{}", characters(seed, BECH32, 58)),
        _ => format!("0x{}", characters(seed, HEX, 40)),
    }
}

/// At most 64 characters of an alphabet.
fn characters(seed: &str, alphabet: &[u8], length: usize) -> String {
    let digests = [
        Sha256::digest(seed),
        Sha256::digest(format!("more of {seed}")),
    ];
    let bytes = digests.iter().flatten().take(length);
    bytes
        .map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]))
        .collect()
}

pub fn wallet(owner: &str, index: usize, network: &str, primary_on: &[&str]) -> Value {
    let chains: &[&str] = if network == "ETH" {
        &["ETH", "MATIC"]
    } else {
        &[network]
    };
    json!({
        "id": address(network, &format!("{owner} wallet {index}")),
        "networkSymbol": network,
        "primaryWalletOn": primary_on,
        "activeChains": chains,
    })
}
