"""From a table of lesion volumes to the study's estimates. Tables and arrays; no images."""
