from .exports import standing as standing
from .gradebook import grade_submissions as grade_submissions
from .hidden import predict_hidden as predict_hidden
from .key import load_key as load_key, write_key as write_key
from .marking import mark as mark
from .rubric import load_rubric as load_rubric
from .submit import pack_submission as pack_submission
