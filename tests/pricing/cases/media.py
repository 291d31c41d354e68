"""OpenAI beyond text: audio, images, embeddings, speech, transcripts, moderation."""

from __future__ import annotations

from tests.pricing.cases.case import OPENAI, Case, chat, drawn, embedding, image

HEARD = {"type": "tokens", "input_tokens": 120, "output_tokens": 24, "total_tokens": 144}

CASES = [
    Case(
        "gpt-audio in and out",
        "chat",
        chat("gpt-audio", 1000, 500, audio_tokens=600, text_tokens=400, out_audio_tokens=450, out_text_tokens=50),
        "(400*2.5 + 600*32 + 50*10 + 450*64)/M",
        "0.0495",
        OPENAI,
    ),
    Case("gpt-audio text only", "chat", chat("gpt-audio", 1000, 500), "(1000*2.5 + 500*10)/M", "0.0075", OPENAI),
    Case(
        "gpt-4o-audio-preview",
        "chat",
        chat("gpt-4o-audio-preview", 1000, 500, audio_tokens=600, out_audio_tokens=450),
        "(400*2.5 + 600*40 + 50*10 + 450*80)/M",
        "0.0615",
        OPENAI,
    ),
    Case(
        "a small embedding", "embedding", embedding("text-embedding-3-small", 8191), "8191*0.02/M", "0.00016382", OPENAI
    ),
    Case(
        "a large embedding", "embedding", embedding("text-embedding-3-large", 8191), "8191*0.13/M", "0.00106483", OPENAI
    ),
    Case(
        "an image",
        "image",
        image(drawn(20, 0, 1056)),
        "(20*5 + 1056*30)/M",
        "0.03178",
        OPENAI,
        model="gpt-image-2",
    ),
    Case(
        "an image after an image",
        "image",
        image(drawn(20, 100, 1056)),
        "(20*5 + 100*8 + 1056*30)/M",
        "0.03258",
        OPENAI,
        model="gpt-image-2",
    ),
    Case(
        "an image after a cached image",
        "image",
        image(
            drawn(
                20,
                100,
                1056,
                input_tokens_details={
                    "text_tokens": 20,
                    "image_tokens": 100,
                    "cached_tokens": 60,
                    "cached_tokens_details": {"image_tokens": 60, "text_tokens": 0},
                },
            )
        ),
        "(20*5 + 40*8 + 60*2 + 1056*30)/M",
        "0.03222",
        OPENAI,
        model="gpt-image-2",
    ),
    Case(
        "an image and the SVG that another model wrote",
        "image",
        image(
            drawn(20, 0, 1056),
            svg_usage={
                "model": "gpt-5",
                "input_tokens": 40,
                "output_tokens": 70,
                "reasoning_tokens": 30,
                "total_tokens": 110,
            },
        ),
        "(20*5 + 1056*30 + 40*1.25 + 70*10)/M",
        "0.03253",
        OPENAI,
        model="gpt-image-2",
    ),
    Case(
        "a transcript by tokens",
        "transcription",
        {"text": "Done.", "usage": {**HEARD, "input_token_details": {"text_tokens": 10, "audio_tokens": 110}}},
        "(10*2.5 + 110*6 + 24*10)/M",
        "0.000925",
        OPENAI,
        model="gpt-4o-transcribe",
    ),
    Case(
        "a transcript by the second",
        "transcription",
        {"text": "Done.", "usage": {"type": "duration", "seconds": 27}},
        "27*0.006/60",
        "0.0027",
        OPENAI,
        model="whisper-1",
    ),
    Case(
        "a transcript by parts of a second",
        "transcription",
        {"text": "Done.", "usage": {"type": "duration", "seconds": 4.5}},
        "4.5*0.006/60",
        "0.00045",
        OPENAI,
        model="whisper-1",
    ),
    Case(
        "a transcript of a length that is not said to be billed",
        "transcription",
        {"text": "Done.", "duration": 30.0},
        "30*0.006/60",
        "0.003",
        OPENAI,
        model="whisper-1",
        status="estimated",
        reason="billed time is not stated",
    ),
    Case(
        "speech by the characters asked for",
        "speech",
        b"ID3",
        "19*15/M",
        "0.000285",
        OPENAI,
        model="tts-1",
        status="estimated",
        reason="characters of the request",
    ),
    Case(
        "speech in high definition",
        "speech",
        b"ID3",
        "19*30/M",
        "0.00057",
        OPENAI,
        model="tts-1-hd",
        status="estimated",
        reason="characters of the request",
    ),
    Case(
        "moderation is free",
        "moderation",
        {"id": "modr-1", "model": "omni-moderation-latest", "results": []},
        "0",
        "0",
        OPENAI,
    ),
]
