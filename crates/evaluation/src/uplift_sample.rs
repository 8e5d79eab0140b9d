use tandem_collaboration::UpliftEvidence;

/// A moment of a validation session, and the gain of a call in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpliftSample {
    /// What the device saw.
    pub evidence: UpliftEvidence,
    /// NDCG@10 of the next clicks with a list made now, minus that with the list in use.
    pub gain: f32,
}
