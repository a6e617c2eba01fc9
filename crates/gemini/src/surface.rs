//! The Google services that serve Gemini.

/// The Google service in use; the services reject each other's fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The Gemini Developer API.
    #[default]
    Developer,
    /// Vertex AI with a project and location.
    Vertex,
    /// Vertex AI in express mode: with an API key and without a project.
    VertexExpress,
}

impl Surface {
    /// Whether this is Vertex AI, with a project or in express mode.
    pub fn is_vertex(self) -> bool {
        !matches!(self, Self::Developer)
    }
}
