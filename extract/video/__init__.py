"""Videos to frames: the demuxer, ffmpeg, and which frames are chosen."""
