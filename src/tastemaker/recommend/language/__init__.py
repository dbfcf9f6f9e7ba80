"""Language models where they earn their place: the order of the best candidates, reasons, summaries and tags; off by default.

| file | what is in it |
|---|---|
| `settings.py` | section `[language]` |
| `language.py` | `Language`: a question, its limits of time and money, its cache, and what is left when there is no answer |
| `prompts.py` | what is asked, with titles made harmless |
| `replies.py` | what is read out of a reply: labels of the candidates and plain text, nothing else |
| `speaker.py` | what a generation model is, and why it may not answer |
| `endpoint.py` | one behind an OpenAI-compatible address |
| `local.py` | one in a folder |
| `closeness.py` | an encoder of sentences: history and candidates by their cosine |
| `budget.py` | calls a minute and a day |
| `tally.py` | what was asked, what became of it, what it cost |
"""

from tastemaker.recommend.language.language import Language, Ordered, Question
from tastemaker.recommend.language.settings import LanguageSettings

__all__ = ["Language", "LanguageSettings", "Ordered", "Question"]
