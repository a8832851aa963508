//! What a cell finds in scope.
