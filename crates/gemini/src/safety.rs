//! Harm categories whose filter can be adjusted, the parameters that adjust it, and the thresholds.

/// Parameter and category of each safety threshold.
pub const SAFETY: [(&str, &str); 4] = [
    ("safety_harassment", "HARM_CATEGORY_HARASSMENT"),
    ("safety_hate_speech", "HARM_CATEGORY_HATE_SPEECH"),
    ("safety_sexually_explicit", "HARM_CATEGORY_SEXUALLY_EXPLICIT"),
    ("safety_dangerous_content", "HARM_CATEGORY_DANGEROUS_CONTENT"),
];

/// Safety thresholds from the least to the most strict.
pub const THRESHOLDS: [&str; 5] =
    ["OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"];
