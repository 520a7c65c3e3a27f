"""A small pretraining set-up with a known ground truth; imported as observatory.train."""

from observatory.train.corpus import Corpus as Corpus
from observatory.train.corpus import Document as Document
from observatory.train.held_out import HeldOut as HeldOut
from observatory.train.hugging_face import HuggingFaceData as HuggingFaceData
from observatory.train.mixture import Mixture as Mixture
from observatory.train.mixture import Source as Source
from observatory.train.module import GPTNeoX as GPTNeoX
from observatory.train.synthetic import SyntheticData as SyntheticData
from observatory.train.text_files import TextData as TextData
from observatory.train.token_files import TokenFileData as TokenFileData
from observatory.train.tokenizer import train_tokenizer as train_tokenizer
