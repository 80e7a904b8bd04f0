"""The ABAW protocol as code: encodings, annotation readers, submission writer and checker."""
