"""Videos to features: corpus readers, frames, encoders and feature shards. Knows nothing of Luigi or keys."""
