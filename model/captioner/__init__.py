"""The captioner (Fig. 1): fusion, Vis2Text, sub-decoders, decoder, and its losses."""
